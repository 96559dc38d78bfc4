package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/scheduler"
)

// Config is what makes a container wherever it runs.
type Config struct {
	Hostname     string
	Domainname   string
	User         string
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Healthcheck  *Healthcheck `json:",omitempty"`
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string
	StopTimeout  *int `json:",omitempty"` // seconds
}

// Healthcheck is a probe; durations in nanoseconds.
type Healthcheck struct {
	Test          []string
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

func config(f Facts) Config {
	i, s, img := f.Instance, f.Details.Service, f.Details.Image.Config
	c := Config{
		Hostname: hostname(i, s), Domainname: s.DomainName, User: cmp.Or(s.User, img.User),
		ExposedPorts: exposed(i, s, img), Tty: s.Tty, OpenStdin: s.StdinOpen, StdinOnce: s.StdinOpen && i.OneOff,
		Env: environment(s, img), Image: i.Image, Volumes: img.Volumes, WorkingDir: cmp.Or(s.WorkingDir, img.WorkingDir),
		Labels: i.Labels, StopSignal: i.StopSignal, Healthcheck: healthcheck(i.Check),
	}
	c.Entrypoint, c.Cmd = command(s, img)
	if s.StopGracePeriod != nil {
		seconds := int(time.Duration(*s.StopGracePeriod).Seconds())
		c.StopTimeout = &seconds
	}
	return c
}

func hostname(i *scheduler.Instance, s types.ServiceConfig) string {
	if s.Hostname != "" {
		return s.Hostname
	}
	return scheduler.Identity{ID: i.ID}.ShortID()
}

// command splits what runs into entrypoint and command by Docker's rules: a
// service's own entrypoint discards the image's command.
func command(s types.ServiceConfig, img v1.ImageConfig) (entrypoint, cmd []string) {
	entrypoint, cmd = s.Entrypoint, s.Command
	if len(entrypoint) == 0 && s.Command == nil {
		cmd = img.Cmd
	}
	if s.Entrypoint == nil {
		entrypoint = img.Entrypoint
	}
	return entrypoint, cmd
}

// environment is the image's with the service's over it, as Docker shows it:
// without what every container gets (HOSTNAME, HOME).
func environment(s types.ServiceConfig, img v1.ImageConfig) []string {
	out := []string{}
	for _, kv := range img.Env {
		name, _, _ := strings.Cut(kv, "=")
		if _, own := s.Environment[name]; !own {
			out = append(out, kv)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		if v := s.Environment[name]; v != nil {
			out = append(out, name+"="+*v)
		}
	}
	return out
}

// exposed are the ports that image and service name and those that are published.
func exposed(i *scheduler.Instance, s types.ServiceConfig, img v1.ImageConfig) map[string]struct{} {
	out := map[string]struct{}{}
	for port := range img.ExposedPorts {
		out[withProtocol(port)] = struct{}{}
	}
	for _, port := range s.Expose {
		out[withProtocol(port)] = struct{}{}
	}
	for _, p := range s.Ports {
		out[fmt.Sprintf("%d/%s", p.Target, cmp.Or(p.Protocol, "tcp"))] = struct{}{}
	}
	for _, p := range i.Ports {
		out[fmt.Sprintf("%d/%s", p.Target, p.Protocol)] = struct{}{}
	}
	return out
}

func withProtocol(port string) string {
	if strings.Contains(port, "/") {
		return port
	}
	return port + "/tcp"
}

func healthcheck(p scheduler.Probe) *Healthcheck {
	if p.None() {
		return nil
	}
	test := p.Test
	if p.Network() {
		test = []string{"PROBE", p.URL()}
	}
	return &Healthcheck{test, p.Interval, p.Timeout, p.StartPeriod, p.StartInterval, p.Retries}
}
