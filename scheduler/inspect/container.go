package inspect

import (
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/scheduler"
)

// Facts are what is known of one container.
type Facts struct {
	Instance *scheduler.Instance
	Details  scheduler.Details
	// Pid is that of its first process, 0 when it does not run.
	Pid int
	// Networks are those of the machine by ID, Leases the container's own.
	Networks map[string]netns.Network
	Leases   []netns.Lease
	LogPath  string
	// VolumeData gives the directory of a named volume.
	VolumeData func(name string) string
}

// Container is a container as Docker shows it.
type Container struct {
	ID              string `json:"Id"`
	Created         time.Time
	Path            string
	Args            []string
	State           State
	Image           string
	LogPath         string
	Name            string // with a slash before it, as Docker has it
	RestartCount    int
	Driver          string
	Platform        string
	HostConfig      HostConfig
	Mounts          []Mount
	Config          Config
	NetworkSettings NetworkSettings
	// ServiceLabels are the deploy.labels of its service; not one of Docker's keys,
	// whose services belong to Swarm.
	ServiceLabels map[string]string `json:",omitempty"`
	// Warnings are what this machine could not do as asked; not one of Docker's keys.
	Warnings []string `json:",omitempty"`
}

// State is where a container is in its life.
type State struct {
	Status     string // created, running, paused, restarting, exited
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
	Health     *Health `json:",omitempty"`
}

// Health is what its probes say.
type Health struct {
	Status        string
	FailingStreak int
	Log           []Probe
}

// Probe is one probe that ran.
type Probe struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

// Mount is one mount that a file, an image or a command asked for.
type Mount struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

// NewContainer shows a container.
func NewContainer(f Facts) Container {
	i := f.Instance
	c := Container{
		ID: i.ID, Created: i.Created, State: state(i, f.Pid), Image: i.Digest, LogPath: f.LogPath, Name: "/" + i.Name,
		RestartCount: i.Restarts, Driver: "overlay", Platform: "linux",
		Config: config(f), HostConfig: hostConfig(f), Mounts: mounts(f), NetworkSettings: networkSettings(f),
		Args: []string{}, Warnings: i.Warnings,
	}
	if d := f.Details.Service.Deploy; d != nil {
		c.ServiceLabels = d.Labels
	}
	if len(i.Command) > 0 {
		c.Path, c.Args = i.Command[0], append(c.Args, i.Command[1:]...)
	}
	return c
}

func state(i *scheduler.Instance, pid int) State {
	s := State{
		Status: i.Status(), Pid: pid, Error: i.Error, ExitCode: i.ErrorCode,
		StartedAt: i.Started, FinishedAt: i.Finished, Health: health(i),
	}
	s.Paused, s.Restarting = s.Status == "paused", s.Status == "restarting"
	s.Running = s.Paused || s.Restarting || s.Status == "running" // Docker's idea of it
	if i.Exit != nil {
		s.ExitCode, s.OOMKilled = i.Exit.Code, i.Exit.OOMKilled
		if i.Exit.Unknown && s.Error == "" {
			s.Error = "nobody could read the exit code"
		}
	}
	return s
}

func health(i *scheduler.Instance) *Health {
	if i.Check.None() {
		return nil
	}
	h := &Health{Status: string(scheduler.HealthStarting), Log: []Probe{}}
	if i.Probe == nil {
		return h
	}
	h.Status = string(i.Probe.Status) // the last verdict stays when the container ends
	h.FailingStreak = i.Probe.FailingStreak
	for _, e := range i.Probe.Log {
		h.Log = append(h.Log, Probe{Start: e.Start, End: e.End, ExitCode: e.ExitCode, Output: e.Output})
	}
	return h
}

func mounts(f Facts) []Mount {
	out := []Mount{}
	for _, m := range f.Details.Mounts {
		d := Mount{Type: m.Type, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: m.Propagation}
		switch m.Type {
		case types.VolumeTypeVolume:
			d.Name, d.Driver, d.Mode = m.Source, "local", "z"
			d.Source = f.VolumeData(m.Source)
		case types.VolumeTypeBind:
			if d.Propagation == "" {
				d.Propagation = types.PropagationRPrivate
			}
		}
		out = append(out, d)
	}
	return out
}
