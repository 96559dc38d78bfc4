package scheduler

import (
	"slices"
	"time"
)

// Reconcile computes what separates the world from the wish. It is pure: no
// clock, no I/O, no mutation of its arguments. Applying its operations in any
// order that respects After, and planning again after each, converges.
func Reconcile(want Want, seen Observed, now time.Time) Plan {
	p := &planner{want: want, seen: seen, now: now, ops: map[string]bool{}}
	p.plan.Services = map[string]Status{}
	if want.Down {
		p.down()
		return p.plan
	}
	if want.Halted {
		p.halt()
		return p.plan
	}
	p.networks()
	p.volumes()
	for _, name := range want.Graph.Order() {
		p.service(name)
	}
	p.orphans()
	p.oneOffs()
	p.vacated()
	return p.plan
}

type planner struct {
	want Want
	seen Observed
	now  time.Time
	plan Plan
	ops  map[string]bool
}

// op adds an operation unless it is under way or has failed for good, and
// returns its ID.
func (p *planner) op(o Op) string {
	o.ID = string(o.Kind) + " " + o.Target
	if p.ops[o.ID] {
		return o.ID
	}
	p.ops[o.ID] = true
	if _, running := p.seen.InFlight[o.ID]; running {
		return o.ID
	}
	if o.Kind == OpStart || o.Kind == OpRemove || o.Kind == OpReplace || o.Kind == OpUpdate {
		o.After = append(slices.Clone(o.After), p.workOn(o.Target)...)
	}
	if msg, failed := p.seen.Failed[o.ID]; failed {
		p.fail(o.Service, msg)
		return o.ID
	}
	p.plan.Ops = append(p.plan.Ops, o)
	return o.ID
}

// workOn lists what is under way with a container. What makes one, or takes it
// apart, must not meet another that does; only a stop may meet a start, whose hook
// may hang.
func (p *planner) workOn(target string) (under []string) {
	for _, kind := range []Kind{OpCleanUp, OpStart, OpStop, OpRemove, OpReplace, OpUpdate} {
		under = append(under, p.underWay(kind, target)...)
	}
	return under
}

// underWay is the ID of one operation, if it is under way.
func (p *planner) underWay(kind Kind, target string) []string {
	id := string(kind) + " " + target
	if _, ok := p.seen.InFlight[id]; ok {
		return []string{id}
	}
	return nil
}

func (p *planner) fail(service, reason string) {
	s := p.plan.Services[service]
	if s.Failed == "" {
		s.Failed = reason
	}
	p.plan.Services[service] = s
}

func (p *planner) wait(service, reason string) {
	s := p.plan.Services[service]
	if s.Waiting == "" {
		s.Waiting = reason
	}
	p.plan.Services[service] = s
}
