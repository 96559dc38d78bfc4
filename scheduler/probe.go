package scheduler

import (
	"cmp"
	"fmt"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// Health is what probes say of a replica, in Docker's words.
type Health string

const (
	HealthNone      Health = "none" // there is no probe
	HealthStarting  Health = "starting"
	HealthHealthy   Health = "healthy"
	HealthUnhealthy Health = "unhealthy"
)

// Probe is a health check, complete with defaults.
type Probe struct {
	// Test is Docker's form: CMD and arguments, or CMD-SHELL and a command line.
	// Empty means that there is none.
	Test []string
	// HTTP and TCP, of x-stack.probe, are asked from inside the container's network
	// namespace; at most one of the three is set.
	HTTP          *spec.HTTPProbe `json:",omitempty"`
	TCP           uint16          `json:",omitempty"`
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// NewProbe merges a service's health check over its image's, as Docker does:
// each value that the file leaves out comes from the image, then from the
// defaults (30 s, 30 s, 0 s, 5 s, 3).
func NewProbe(own *types.HealthCheckConfig, img *image.Healthcheck) (Probe, error) {
	var p Probe
	if own != nil {
		if own.Disable {
			return Probe{}, nil
		}
		p = ownProbe(own)
	}
	if img != nil {
		p = p.over(img)
	}
	return p.complete()
}

func ownProbe(h *types.HealthCheckConfig) Probe {
	duration := func(d *types.Duration) time.Duration {
		if d == nil {
			return 0
		}
		return time.Duration(*d)
	}
	p := Probe{
		Test:          h.Test,
		Interval:      duration(h.Interval),
		Timeout:       duration(h.Timeout),
		StartPeriod:   duration(h.StartPeriod),
		StartInterval: duration(h.StartInterval),
	}
	if h.Retries != nil {
		p.Retries = int(min(*h.Retries, 1<<30))
	}
	return p
}

func (p Probe) over(img *image.Healthcheck) Probe {
	if len(p.Test) == 0 {
		p.Test = img.Test
	}
	p.Interval = cmp.Or(p.Interval, time.Duration(img.Interval))
	p.Timeout = cmp.Or(p.Timeout, time.Duration(img.Timeout))
	p.StartPeriod = cmp.Or(p.StartPeriod, time.Duration(img.StartPeriod))
	p.StartInterval = cmp.Or(p.StartInterval, time.Duration(img.StartInterval))
	p.Retries = cmp.Or(p.Retries, img.Retries)
	return p
}

func (p Probe) complete() (Probe, error) {
	if p.None() || !p.Network() && p.Test[0] == "NONE" {
		return Probe{}, nil
	}
	switch {
	case p.Network():
	case p.Test[0] != "CMD" && p.Test[0] != "CMD-SHELL":
		return Probe{}, fmt.Errorf("cannot read health check: test begins with %q, want CMD, CMD-SHELL or NONE", p.Test[0])
	case len(p.Test) == 1:
		return Probe{}, fmt.Errorf("cannot read health check: nothing follows %s", p.Test[0])
	}
	p.Interval = positive(p.Interval, 30*time.Second)
	p.Timeout = positive(p.Timeout, 30*time.Second)
	p.StartInterval = positive(p.StartInterval, 5*time.Second)
	p.StartPeriod = positive(p.StartPeriod, 0)
	if p.Retries <= 0 {
		p.Retries = 3
	}
	return p, nil
}

func positive(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// None reports that there is no check.
func (p Probe) None() bool { return len(p.Test) == 0 && !p.Network() }

// Args is the command to execute inside the container.
func (p Probe) Args() []string {
	switch {
	case len(p.Test) == 0:
		return nil
	case p.Test[0] == "CMD-SHELL":
		return []string{"/bin/sh", "-c", p.Test[1]}
	}
	return p.Test[1:]
}
