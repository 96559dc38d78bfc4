package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// orphans plans replicas of services that the file does not have, or only behind
// an inactive profile: those just go on.
func (p *planner) orphans() {
	var names []string
	for _, service := range p.strays() {
		before := len(p.plan.Ops)
		switch sw := p.want.Services[service]; {
		case p.want.RemoveOrphans && !p.asleep(service):
			p.removeAll(service, sw, "service "+service+" is not in the file")
		case sw.Goal == GoalStop:
			p.stopAll(service, sw, "asked to stop")
		case sw.Goal == GoalRemove:
			p.removeAll(service, sw, p.removeCause(service))
		default:
			p.keepAlive(service, sw)
		}
		s := p.plan.Services[service]
		s.Done = len(p.plan.Ops) == before && !p.seen.busy(service) && s.Failed == ""
		p.plan.Services[service] = s
		if p.want.RemoveOrphans || p.asleep(service) || p.want.Services[service].Goal == GoalRemove {
			continue
		}
		for _, r := range p.seen.replicas(service) {
			names = append(names, r.Name)
		}
	}
	if len(names) > 0 && !p.want.IgnoreOrphans {
		slices.Sort(names)
		p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("found orphan containers %s for this project; --remove-orphans removes them", strings.Join(names, ", ")))
	}
}

// removeCause tells an edit of a live file from a command.
func (p *planner) removeCause(service string) string {
	if p.asleep(service) {
		return "asked to be removed"
	}
	return "service " + service + " is not in the file any more"
}

// strays are the services that have replicas or a wish, but are not enabled, by name.
func (p *planner) strays() []string {
	names := slices.Collect(maps.Keys(p.want.Services))
	for _, r := range p.seen.Instances {
		if !r.OneOff {
			names = append(names, r.Service)
		}
	}
	names = slices.DeleteFunc(names, func(s string) bool { _, on := p.want.Stack.Services[s]; return on })
	slices.Sort(names)
	return slices.Compact(names)
}

// oneOffs tends the containers of `run`.
func (p *planner) oneOffs() {
	for _, r := range p.seen.Instances {
		if !r.OneOff {
			continue
		}
		if r.Hook != nil && !r.Discard {
			p.tendHook(r)
			continue
		}
		done := r.State == StateExited || r.State == StateCreated && r.Error != ""
		if r.Discard || done && r.Run != nil && r.Run.Remove && !p.awaited(r) {
			p.remove(r, "the run ended", nil)
			continue
		}
		p.tend(r)
	}
}

// awaited reports whether a client may still have to read how a run ended. It
// removes the container itself then, unless it died.
func (p *planner) awaited(r *Instance) bool {
	if !r.Run.Attach || r.State != StateExited {
		return false
	}
	wait := r.Finished.Add(attachPatience).Sub(p.now)
	if wait > 0 {
		p.plan.requeue(wait)
	}
	return wait > 0
}
