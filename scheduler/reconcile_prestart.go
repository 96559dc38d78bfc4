package scheduler

import (
	"fmt"
	"slices"
)

// preparation is where the pre_start hooks of one service stand this turn.
type preparation struct {
	p       *planner
	service string
	ready   bool // its dependencies let it start
	// lead is the number of the replica before whose start the hooks of the whole
	// service run; 0 once they have.
	lead int
}

// prepare looks at the hooks of a service whose fresh replicas are keep. They ran
// once one of those was started, or when the lead's have all ended well.
func (p *planner) prepare(name string, sw ServiceWish, keep []*Instance, ready bool) *preparation {
	out := &preparation{p: p, service: name, ready: ready && sw.Goal == GoalRun}
	if len(p.want.Stack.Services[name].PreStart) == 0 {
		return out
	}
	fresh := slices.DeleteFunc(slices.Clone(keep), func(r *Instance) bool { return p.stale(r, sw) != "" })
	if slices.ContainsFunc(fresh, func(r *Instance) bool { return r.Prepared || p.ledBy(r) }) {
		return out
	}
	numbers := []int{}
	for _, r := range keep {
		numbers = append(numbers, r.Number)
	}
	for n := 1; len(numbers) < sw.Scale; n++ {
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > 0 {
		out.lead = slices.Min(numbers)
	}
	return out
}

// ledBy reports whether the hooks of the whole service have ended well for r.
func (p *planner) ledBy(r *Instance) bool {
	for step, h := range p.want.Stack.Services[r.Service].PreStart {
		if i := p.hookOf(r.ID, step); !h.PerReplica && (i == nil || !completed(i)) {
			return false
		}
	}
	return true
}

func completed(i *Instance) bool {
	return i.State == StateExited && i.Exit != nil && i.Exit.Code == 0
}

// hookOf returns the container of a hook that runs, or ran, for a replica.
func (p *planner) hookOf(replica string, step int) *Instance {
	for _, i := range p.seen.Instances {
		if i.Hook != nil && i.Hook.Replica == replica && i.Hook.Step == step && !i.Discard {
			return i
		}
	}
	return nil
}

// started reports whether replica number n may start now; r is nil before it is
// created, after names what creates it. Otherwise it plans the next hook.
func (s *preparation) started(n int, r *Instance, after []string) bool {
	svc := s.p.want.Stack.Services[s.service]
	if !s.ready || len(svc.PreStart) == 0 || r != nil && r.Prepared {
		return s.ready
	}
	if s.lead != 0 && s.lead != n {
		s.p.wait(s.service, "its pre_start hooks to complete")
		return false
	}
	for step, h := range svc.PreStart {
		if s.lead != n && !h.PerReplica {
			continue
		}
		if !s.step(step, n, r, after) {
			return false
		}
	}
	return true
}

// step reports whether one hook has ended well for a replica.
func (s *preparation) step(step, n int, r *Instance, after []string) bool {
	svc := s.p.want.Stack.Services[s.service]
	name := hookName(s.p.want.Stack.Name, svc, step, n)
	var hook *Instance
	if r != nil {
		hook = s.p.hookOf(r.ID, step)
	}
	switch {
	case hook == nil:
		if taken := s.p.named(name); taken != nil {
			after = append(slices.Clone(after), s.p.remove(taken, "its replica is gone", nil))
		}
		s.p.op(Op{Kind: OpHook, Target: name, Service: s.service, Number: n, Hook: &HookRef{Step: step},
			Cause: fmt.Sprintf("pre_start hook %d", step), After: after})
	case completed(hook):
		return true
	case s.p.again(hook): // to be removed first
	case hook.Error != "":
		s.p.fail(s.service, fmt.Sprintf("pre_start hook %d of service %q: %s", step, s.service, hook.Error))
		return false
	case hook.State == StateExited:
		s.p.fail(s.service, hook.HookError)
		return false
	}
	s.p.wait(s.service, "container "+name+" to complete")
	return false
}

// named returns the instance of a container name.
func (p *planner) named(name string) *Instance {
	for _, i := range p.seen.Instances {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// failedHook reports whether a hook's container ended badly or never ran.
func failedHook(i *Instance) bool {
	return i.Error != "" || i.State == StateExited && !completed(i)
}

// again reports whether a newer command runs the hooks of a replica once more: one
// of them failed before it. They begin with the first.
func (p *planner) again(hook *Instance) bool {
	start := p.want.Services[hook.Service].Start
	return slices.ContainsFunc(p.seen.Instances, func(i *Instance) bool {
		return i.Hook != nil && i.Hook.Replica == hook.Hook.Replica && failedHook(i) && max(i.StartedSeq, i.CreatedSeq) < start
	})
}

// tendHook plans what the container of a hook needs. It stays until its replica
// has started; a failed one stays to be looked at.
func (p *planner) tendHook(r *Instance) {
	replica := p.byID(r.Hook.Replica)
	switch {
	case replica == nil || replica.Prepared:
		p.remove(r, "its replica needs it no more", nil)
	case !r.live() && p.again(r):
		p.remove(r, "its hooks run again", nil)
	case p.want.Services[r.Service].Goal != GoalRun && r.live():
		p.stop(r, "asked to stop", nil)
	case p.want.Services[r.Service].Goal == GoalRun:
		p.tend(r)
	}
}

func (p *planner) byID(id string) *Instance {
	for _, i := range p.seen.Instances {
		if i.ID == id {
			return i
		}
	}
	return nil
}
