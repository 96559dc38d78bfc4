package scheduler

import (
	"cmp"
	"strings"
	"time"

	"stack/netns"
	"stack/runtime"
)

// InstanceState is where a replica is in its life; see the package's diagram.
type InstanceState string

const (
	StateCreated    InstanceState = "created"
	StateRunning    InstanceState = "running"
	StatePaused     InstanceState = "paused"
	StateStopping   InstanceState = "stopping"
	StateRestarting InstanceState = "restarting" // exited, to be started at NextStart
	StateExited     InstanceState = "exited"
)

// Instance is one container of a project: a numbered replica of a service or a
// one-off. It is stored as projects/PROJECT/instances/ID.json (0600, version
// InstanceVersion); the directory, cgroup and log are named from its ID.
type Instance struct {
	Version int
	ID      string // 64 hexadecimal digits
	Name    string // PROJECT-SERVICE-NUMBER, or container_name
	Service string
	Number  int
	// OneOff is set for containers of `run`; Run holds what it overrides.
	OneOff bool        `json:",omitempty"`
	Run    *RunOptions `json:",omitempty"`
	// Hook is set, with OneOff, for the container of a pre_start hook.
	Hook *HookRef `json:",omitempty"`
	// Prepared is set once it started: its pre_start hooks have run.
	Prepared bool `json:",omitempty"`

	// Takes is the ID of the replica whose place it is to take, and Becomes the name
	// that it gets then; Number is that one's from the beginning.
	Takes   string `json:",omitempty"`
	Becomes string `json:",omitempty"`

	// Hash and Digest are the configuration and image it was created from.
	// Replaces is set when it took the place of a stale one in CreatedSeq.
	Replaces bool `json:",omitempty"`

	Hash string
	// Recreate is the hash of that part of the configuration which a container keeps
	// for its life; a record without one knows only the whole.
	Recreate string `json:",omitempty"`
	Image    string
	Digest   string
	// Sources are the digests of the images that it mounts, by reference.
	Sources map[string]string `json:",omitempty"`
	Labels  map[string]string `json:",omitempty"`
	// StopSignal and Grace are kept here so that a replica can be stopped when
	// its service is gone from the file.
	StopSignal string
	Grace      time.Duration
	// Volumes are the named and anonymous volumes it uses; Anonymous those that
	// go with it.
	Volumes   []string `json:",omitempty"`
	Anonymous []string `json:",omitempty"`
	TTY       bool     `json:",omitempty"`
	Command   []string `json:",omitempty"` // entrypoint and command, for people
	// Log is how its output is kept.
	Log LogConfig `json:",omitzero"`
	// Ports are what it publishes, host ports chosen; Endpoints its interfaces.
	Ports     []netns.Port     `json:",omitempty"`
	Endpoints []netns.Endpoint `json:",omitempty"`

	State    InstanceState
	Created  time.Time
	Started  time.Time     `json:",omitzero"`
	Finished time.Time     `json:",omitzero"`
	Exit     *runtime.Exit `json:",omitempty"` // of the last run
	// CreatedSeq and StartedSeq are the wish's sequence numbers then.
	CreatedSeq uint64
	StartedSeq uint64
	// LiveSeq is the newest sequence in which it was seen running: an `up` or
	// `start` of its service that came then was obeyed without a start.
	LiveSeq uint64 `json:",omitempty"`
	// Held is set when a person stopped or killed it: no policy starts it again.
	Held bool `json:",omitempty"`
	// HeldSeq is the command that did.
	HeldSeq uint64 `json:",omitempty"`
	// Halted is set when it was stopped because the machine went down.
	Halted bool `json:",omitempty"`
	// Discard is set by rm: the loop removes it once it is not running.
	Discard bool `json:",omitempty"`
	// WantStart is the command that asked for this very container to run, and
	// WantStopped is set when one asked for it to stop.
	WantStart   uint64 `json:",omitempty"`
	WantStopped bool   `json:",omitempty"`
	// WantGrace overrides the grace of the stop that a person asked of it.
	WantGrace *time.Duration `json:",omitempty"`
	// DiscardVolumes removes its anonymous volumes with it (rm -v).
	DiscardVolumes bool `json:",omitempty"`
	// WantPaused is set by pause.
	WantPaused bool `json:",omitempty"`

	// Restarts counts automatic restarts; History is what back-off needs.
	Restarts  int `json:",omitempty"`
	History   RestartHistory
	NextStart time.Time `json:",omitzero"`
	// Ticked is when a scheduled run could not begin: it still ran, or failed to start.
	Ticked time.Time `json:",omitzero"`
	// StopDeadline is when a stopping replica is killed.
	StopDeadline time.Time `json:",omitzero"`

	// Error tells why it could not be started; cleared by the next attempt.
	Error     string `json:",omitempty"`
	ErrorCode int    `json:",omitempty"` // 126, 127, or 0
	FailedSeq uint64 `json:",omitempty"`

	// Rewritten is when it got other contents of configs or secrets in this run.
	Rewritten time.Time `json:",omitzero"`

	// Check is its health check, Probe how that stands in this run, and Health
	// Probe's verdict; empty when not running or not checked.
	Check  Probe
	Probe  *ProbeState `json:",omitempty"`
	Health Health      `json:",omitempty"`
	// Unwell is set while it is stopped for being unhealthy: its restart policy takes
	// that for a failure.
	Unwell bool `json:",omitempty"`
	// Again is set while it is stopped to be started again, whatever its policy: what
	// it lives on was made anew.
	Again bool `json:",omitempty"`
	// Joined is when it was looked whose namespaces the last run shares, zero for nobody's:
	// they may have ended before the run began.
	Joined time.Time `json:",omitzero"`
	// VolumesMade is when the volumes that it mounts were made, by name.
	VolumesMade map[string]time.Time `json:",omitempty"`
	// HostUserNS says that it runs without a user namespace of its own, Privileged
	// that almost nothing else holds it either.
	HostUserNS bool `json:",omitempty"`
	// IDBase is the first id of the host that its user namespace maps.
	IDBase     uint32 `json:",omitempty"`
	Privileged bool   `json:",omitempty"`
	// Runtime is the OCI runtime that has it, empty for the native one.
	Runtime string `json:",omitempty"`
	// Warnings are what this machine could not do as asked.
	Warnings []string `json:",omitempty"`
	// untouched is set until its first start: nothing of it can be in the kernel.
	untouched bool
	// unread is set by a start: it may have ended before it was taken for live.
	unread bool
	// HookError is a failed lifecycle hook of the last start or stop.
	HookError string `json:",omitempty"`
}

// InstanceVersion is the version of the instance file's format.
const InstanceVersion = 1

// identity is who the container is to itself and on its networks: one that is to
// take another's place has that one's name there from the beginning.
func (i *Instance) identity() Identity {
	return Identity{ID: i.ID, Name: cmp.Or(i.Becomes, i.Name), Number: i.Number, OneOff: i.OneOff}
}

// userNSBefore is where its runs were.
func (i *Instance) userNSBefore() UserNSBefore {
	switch {
	case i.Started.IsZero():
		return UserNSUndecided
	case i.HostUserNS:
		return UserNSHost
	}
	return UserNSOwn
}

// live reports whether the instance has processes.
func (i *Instance) live() bool {
	return i.State == StateRunning || i.State == StatePaused || i.State == StateStopping
}

// stopIsFinal reports whether a person asked this container to stop and stay so,
// as against a restart, whose start is yet to come.
func (i *Instance) stopIsFinal() bool { return i.WantStopped && i.WantStart <= i.StartedSeq }

// reached is the newest command to run its service that the instance has obeyed.
func (i *Instance) reached() uint64 { return max(i.StartedSeq, i.LiveSeq) }

// Obeyed notes that the instance was started for wish sequence seq.
func (i *Instance) Obeyed(seq uint64, now time.Time) {
	i.State = StateRunning
	i.Started = now
	i.StartedSeq = seq
	i.unread = true
	i.Prepared = true
	i.Exit = nil
	i.Held, i.WantStopped, i.WantPaused, i.WantGrace = false, false, false, nil
	i.Halted = false
	i.Error, i.ErrorCode, i.HookError = "", 0, ""
	i.NextStart, i.StopDeadline = time.Time{}, time.Time{}
	i.Unwell, i.Again = false, false
	i.Rewritten = time.Time{}
	i.Probe, i.Health = nil, ""
	if !i.Check.None() {
		i.Probe = NewProbeState(i.Check, now)
		i.Health = i.Probe.Status
	}
}

// Probed notes the result of a probe and reports whether the verdict changed.
func (i *Instance) Probed(r ProbeEntry) bool {
	if i.Probe == nil || i.State != StateRunning {
		return false
	}
	st := *i.Probe // readers may hold the old one
	changed := st.Result(r)
	i.Probe, i.Health = &st, st.Status
	return changed
}

// probedSince reports whether a probe that began after t was the last one and succeeded.
func (i *Instance) probedSince(t time.Time) bool {
	if i.Probe == nil || len(i.Probe.Log) == 0 {
		return false
	}
	last := i.Probe.Log[len(i.Probe.Log)-1]
	return last.Start.After(t) && last.ExitCode == 0
}

// unheard reports whether no probe has begun since its contents were rewritten: its
// health is that which it had with those before.
func (i *Instance) unheard() bool {
	if i.Rewritten.IsZero() || i.Probe == nil {
		return false
	}
	return len(i.Probe.Log) == 0 || !i.Probe.Log[len(i.Probe.Log)-1].Start.After(i.Rewritten)
}

// lastOutput is what the last probe printed.
func (i *Instance) lastOutput() string {
	if i.Probe == nil || len(i.Probe.Log) == 0 {
		return ""
	}
	return strings.TrimSpace(i.Probe.Log[len(i.Probe.Log)-1].Output)
}

// StartFailed notes that a start did not reach the user's program. It is not
// tried again before the next command: the same input would fail the same way.
func (i *Instance) StartFailed(seq uint64, reason string, code int) {
	switch i.State {
	case StateRestarting:
		i.State = StateExited
	default:
		i.State = StateCreated
	}
	i.StartedSeq, i.FailedSeq = seq, seq
	i.Error, i.ErrorCode = reason, code
	i.Health = ""
}

// StopAsked notes that a stop began: by a person when held.
func (i *Instance) StopAsked(held bool, seq uint64, deadline time.Time) {
	switch i.State {
	case StateRunning, StatePaused:
		i.State = StateStopping
		i.StopDeadline = deadline
	case StateRestarting:
		i.State = StateExited
		i.NextStart = time.Time{}
	}
	if held {
		i.Held, i.HeldSeq = true, seq
	}
}

// Exited notes the end of the first process; policy decides what follows.
func (i *Instance) Exited(exit runtime.Exit, policy RestartPolicy, now time.Time) {
	history := i.History
	history.Started = i.Started
	history.Stopped = i.State == StateStopping && !i.Unwell || i.Held || i.OneOff
	i.State = StateExited
	was := exit
	i.Exit, i.Finished = &was, exit.At
	if i.Unwell {
		i.Unwell, exit.Unknown = false, true // whatever it ends with: see RestartPolicy.wants
	}
	i.Health, i.StopDeadline = "", time.Time{}
	if i.Again && !i.Held {
		i.Again, i.State, i.NextStart = false, StateRestarting, now
		return
	}
	i.Again = false
	again, at := policy.Next(exit, history, now)
	if !again {
		return
	}
	i.History = policy.Restarted(exit, history, at)
	i.State = StateRestarting
	i.Restarts++
	i.NextStart = at
}

// PutOff notes that a restart found its surroundings gone: it comes later.
func (i *Instance) PutOff(now time.Time) {
	i.History.Quick++
	i.NextStart = now.Add(RestartPolicy{}.delay(i.History.Quick))
}

// PauseChanged notes that the freezer changed.
func (i *Instance) PauseChanged(paused bool) {
	switch {
	case paused && i.State == StateRunning:
		i.State = StatePaused
	case !paused && i.State == StatePaused:
		i.State = StateRunning
	}
}
