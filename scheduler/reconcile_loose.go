package scheduler

import (
	"fmt"
	"slices"
	"strings"
)

// orphans plans replicas of services that the file does not have.
func (p *planner) orphans() {
	var names []string
	for _, r := range p.seen.Instances {
		if _, ok := p.want.Stack.Services[r.Service]; ok || r.OneOff {
			continue
		}
		if p.want.RemoveOrphans {
			p.remove(r, "service "+r.Service+" is not in the file", nil)
			continue
		}
		p.tend(r)
		names = append(names, r.Name)
	}
	if len(names) > 0 && !p.want.IgnoreOrphans {
		slices.Sort(names)
		p.plan.Warnings = append(p.plan.Warnings, fmt.Sprintf("found orphan containers %s for this project; --remove-orphans removes them", strings.Join(names, ", ")))
	}
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
