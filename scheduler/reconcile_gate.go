package scheduler

import (
	"fmt"
	"strconv"
)

// verdict is what one dependency says to a start.
type verdict struct {
	ready  bool
	failed string // it can never become ready by itself
	wait   string
}

// gate says whether replicas of a service may start now; if not, the plan's
// status tells why.
func (p *planner) gate(name string, sw ServiceWish) bool {
	if sw.NoDeps {
		return true
	}
	ready := true
	for _, e := range p.want.Graph.Needs(name) {
		v := p.dependency(e)
		switch {
		case v.ready:
		case !e.Required:
			if v.failed == "" {
				p.wait(name, v.wait)
				ready = false
				continue
			}
			p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("optional dependency %s of %s: %s", e.Service, name, v.failed))
		case v.failed != "":
			p.fail(name, "dependency failed to start: "+v.failed)
			ready = false
		default:
			p.wait(name, v.wait)
			ready = false
		}
	}
	return ready
}

// dependency judges one edge by what is observed, never by what is planned.
func (p *planner) dependency(e Edge) verdict {
	_, known := p.want.Stack.Services[e.Service]
	sw, wished := p.want.Services[e.Service]
	if !known && !e.Required {
		return verdict{ready: true}
	}
	scale := sw.Scale
	if !wished {
		scale = 1
	}
	replicas := p.seen.replicas(e.Service)
	if wished && scale == 0 {
		return verdict{ready: true}
	}
	if len(replicas) < scale || len(replicas) == 0 {
		return p.notYet(e, "service "+e.Service+" is being created")
	}
	for _, r := range replicas[:min(scale, len(replicas))] {
		if p.stale(r, sw) != "" && sw.Goal.has() {
			return p.notYet(e, "container "+r.Name+" is being replaced")
		}
		if r.FailedSeq > 0 && r.FailedSeq >= sw.Start && r.Error != "" {
			return verdict{failed: fmt.Sprintf("container %s: %s", r.Name, r.Error)}
		}
		if e.Restart && p.restarts(r, sw) {
			return p.notYet(e, "container "+r.Name+" to restart")
		}
		if v := p.condition(e, r, sw); !v.ready {
			if r.State == StateCreated && v.failed == "" { // a hook of its own may have failed
				return p.notYet(e, v.wait)
			}
			return v
		}
	}
	return verdict{ready: true}
}

// notYet is a wait, or a failure where the dependency itself has failed.
func (p *planner) notYet(e Edge, why string) verdict {
	if s := p.plan.Services[e.Service]; s.Failed != "" {
		return verdict{failed: s.Failed}
	}
	return verdict{wait: why}
}

func (p *planner) condition(e Edge, r *Instance, sw ServiceWish) verdict {
	begun := (r.reached() >= sw.Start || p.completedOnce(r, sw)) && !r.Started.IsZero() && r.WantStart <= r.StartedSeq
	switch e.Condition {
	case ConditionCompleted:
		switch {
		case !begun || r.live() || r.State == StateRestarting:
			return verdict{wait: "container " + r.Name + " to complete"}
		case r.State == StateExited && r.Exit != nil && r.Exit.Code == 0:
			return verdict{ready: true}
		case r.State == StateExited:
			return verdict{failed: fmt.Sprintf("service %q didn't complete successfully: %s", e.Service, exitText(r))}
		}
		return verdict{wait: "container " + r.Name + " to complete"}
	case ConditionHealthy:
		switch {
		case r.State == StateExited && begun:
			return verdict{failed: "container " + r.Name + " exited (" + strconv.Itoa(exitCode(r)) + ")"}
		case r.Health == HealthHealthy && r.State == StateRunning:
			return verdict{ready: true}
		case r.Health == HealthUnhealthy:
			return verdict{failed: "container " + r.Name + " is unhealthy" + lastProbe(r)}
		case r.State == StateRunning && (r.Health == "" || r.Health == HealthNone):
			return verdict{failed: "container " + r.Name + " has no healthcheck configured"}
		}
		return verdict{wait: "container " + r.Name + " to be healthy"}
	}
	if e.Shares() && r.State != StateRunning && r.State != StatePaused {
		return verdict{wait: "container " + r.Name + " to run"}
	}
	if !begun && r.State != StateRunning && r.State != StatePaused {
		return verdict{wait: "container " + r.Name + " to start"}
	}
	return verdict{ready: true}
}

func exitCode(r *Instance) int {
	if r.Exit == nil {
		return 0
	}
	return r.Exit.Code
}

// lastProbe is a failing probe's output as the end of a message.
func lastProbe(r *Instance) string {
	if out := r.lastOutput(); out != "" {
		return ": " + out
	}
	return ""
}
