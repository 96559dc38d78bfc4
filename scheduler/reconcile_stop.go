package scheduler

import (
	"slices"
)

// stop plans the end of a live replica and returns the operation's ID.
func (p *planner) stop(r *Instance, cause string, after []string) string {
	return p.op(Op{Kind: OpStop, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
}

// remove plans the removal of an instance, stopping it first.
func (p *planner) remove(r *Instance, cause string, after []string) string {
	if r.live() {
		after = []string{p.stop(r, cause, after)}
	}
	return p.op(Op{Kind: OpRemove, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
}

// replace plans a fresh replica in a stale one's place, stop first.
func (p *planner) replace(r *Instance, cause string, after []string, hooks *preparation) {
	if r.live() {
		after = append(slices.Clone(after), p.stop(r, cause, p.dependentsFirst(r.Service)))
	}
	id := p.op(Op{Kind: OpReplace, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: cause, After: after})
	if p.want.Services[r.Service].Goal == GoalRun && hooks.started(r.Number, nil, []string{id}) {
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Number: r.Number, Cause: cause, After: []string{id}})
	}
}

// dependentsFirst stops the running dependents that restart with service and
// returns the operations to wait for.
func (p *planner) dependentsFirst(service string) []string {
	var after []string
	for _, d := range p.want.Graph.Dependents(service) {
		if !d.Restart {
			continue
		}
		for _, r := range p.seen.replicas(d.Service) {
			if r.live() {
				after = append(after, p.stop(r, "its dependency "+service+" restarts", p.dependentsFirst(d.Service)))
			}
		}
	}
	return after
}

// stopAll stops the replicas of a service once those that depend on it and are
// stopping too have stopped.
func (p *planner) stopAll(name string, sw ServiceWish, cause string) {
	after := p.dependentsStopped(name)
	for _, r := range p.seen.replicas(name) {
		switch {
		case r.Discard:
			p.remove(r, "asked to be removed", after)
		case r.WantStart > r.HeldSeq: // started by itself since
			p.tend(r)
		case r.live() || r.State == StateRestarting:
			p.stop(r, cause, after)
		}
	}
}

func (p *planner) removeAll(name string, sw ServiceWish, cause string) {
	after := p.dependentsStopped(name)
	for _, r := range p.seen.replicas(name) {
		p.remove(r, cause, after)
	}
}

// dependentsStopped returns the stops that must come before a service's own:
// those of live dependents that are to stop as well.
func (p *planner) dependentsStopped(name string) []string {
	var after []string
	for _, d := range p.want.Graph.Dependents(name) {
		if !p.want.Down && p.want.Services[d.Service].Goal.has() {
			continue
		}
		if _, wished := p.want.Services[d.Service]; !wished && !p.want.Down {
			continue
		}
		for _, r := range p.seen.replicas(d.Service) {
			if r.live() {
				after = append(after, string(OpStop)+" "+r.Name)
			}
		}
	}
	return after
}
