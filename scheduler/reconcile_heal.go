package scheduler

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
	"stack/spec"
)

// ails reports whether a running replica is to be restarted for being unhealthy, by
// its restart policy and with its back-off. It is not when the policy would not
// start it again, since better an ill replica than none; nor when the service opts
// out (x-stack.autoheal), a person stops it, or an update is under way, which judges
// its fresh replicas by their health and replaces the others.
func (p *planner) ails(r *Instance, sw ServiceWish) bool {
	if r.Health != HealthUnhealthy || r.State != StateRunning || sw.Goal != GoalRun || r.Held || r.OneOff {
		return false
	}
	svc, ok := p.want.Stack.Services[r.Service]
	if !ok {
		return false
	}
	if x, err := spec.ServiceExtension(svc); err != nil || x.KeepUnhealthy {
		return false
	}
	history := r.History
	history.Started, history.Stopped = r.Started, false
	again, _ := ParseRestart(svc).Next(runtime.Exit{Unknown: true, At: p.now}, history, p.now)
	updating := p.judged(r, svc) || r.unheard() || p.outdated(r, sw) || slices.ContainsFunc(p.seen.replicas(r.Service), func(i *Instance) bool {
		return i.Takes != "" || p.stale(i, sw) != ""
	})
	return again && !updating
}

// judged reports whether an update is rolled back, not healed, when r does not get well.
func (p *planner) judged(r *Instance, svc types.ServiceConfig) bool {
	u, underway := p.seen.Updates[r.Service]
	return underway && u.Good != 0 && p.want.Services[r.Service].Rollback == nil && updateSettings(svc.Deploy).FailureAction == "rollback"
}

// lostGround returns why a running replica cannot go on where it is, or "": the
// namespaces that it shares ended with their owner's run, or a volume that it mounts
// was taken away and made anew.
func (p *planner) lostGround(r *Instance) string {
	since := r.Joined
	if since.IsZero() { // of an earlier version's start
		since = r.Started
	}
	for _, e := range p.want.Graph.Needs(r.Service) {
		if !e.Shares() {
			continue
		}
		for _, d := range p.seen.replicas(e.Service) {
			if d.State == StateRunning && d.Started.After(since) {
				return "service " + e.Service + ", whose namespaces it shares, was restarted"
			}
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.VolumesMade)) {
		if now, ok := p.seen.VolumesMade[name]; ok && !now.Equal(r.VolumesMade[name]) {
			return "volume " + name + ", which it mounts, was taken away and made anew"
		}
	}
	return ""
}

// hasGround reports whether those run whose namespaces r shares.
func (p *planner) hasGround(r *Instance) bool {
	for _, e := range p.want.Graph.Needs(r.Service) {
		if !e.Shares() {
			continue
		}
		if owners := p.seen.replicas(e.Service); len(owners) == 0 || owners[0].State != StateRunning && owners[0].State != StatePaused {
			return false
		}
	}
	return true
}
