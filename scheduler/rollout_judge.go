package scheduler

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// proved reports whether a fresh replica serves as it should.
func (r *rollout) proved(i *Instance) bool {
	switch {
	case r.sw.Goal != GoalRun, i.Held, completed(i):
		return true
	case i.State == StatePaused:
		return true
	case i.fitness(false) != ready:
		return false
	case r.config.Declared && !i.Rewritten.IsZero() && !i.Check.None() && !i.probedSince(i.Rewritten):
		return false // it was healthy with the contents before
	}
	begun := i.Started
	if i.Rewritten.After(begun) {
		begun = i.Rewritten
	}
	left := begun.Add(r.config.monitor(i)).Sub(r.p.now)
	if left > 0 {
		r.p.plan.requeue(left)
	}
	return left <= 0
}

// failed reports whether a fresh replica did not become what it should.
func (r *rollout) failed(i *Instance) bool {
	switch {
	case i.Held, i.Error != "" && i.FailedSeq < r.sw.Start: // to be started again
		return false
	case i.Health == HealthUnhealthy && (i.unheard() || r.p.outdated(i, r.sw)): // it was with other settings
		return false
	case i.Error != "", i.Health == HealthUnhealthy, i.State == StateRestarting:
		return true
	case i.State == StateExited:
		return !completed(i) && i.reached() >= r.sw.Start
	}
	return i.Restarts > 0 && r.p.now.Sub(i.Started) < r.config.monitor(i)
}

// complaint tells what is wrong with a failed replica.
func complaint(i *Instance) string {
	switch {
	case i.Error != "":
		return "container " + i.Name + ": " + i.Error
	case i.Health == HealthUnhealthy:
		return "container " + i.Name + " is unhealthy" + oneLine(lastProbe(i))
	case i.State == StateExited:
		return "container " + i.Name + " exited (" + strconv.Itoa(exitCode(i)) + ")"
	}
	return "container " + i.Name + " does not stay up"
}

// oneLine is text without line breaks.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// judge decides what failed replicas lead to.
func (r *rollout) judge(failed []*Instance) {
	if len(failed) == 0 || r.tolerates(len(failed)) || r.config.FailureAction == "continue" {
		return
	}
	cause := fmt.Sprintf("%d of %d replicas failed: %s", len(failed), r.sw.Scale, complaint(failed[0]))
	if back := r.sw.Rollback; back != nil {
		r.halted = fmt.Sprintf("its rollback to revision %d is paused: %s", back.To, cause)
	} else if r.config.FailureAction != "rollback" || r.update.Good == 0 {
		r.halted = "its update is paused: " + cause
	} else {
		r.halted, r.returns = cause, true
		r.p.op(Op{Kind: OpRollback, Target: r.service, Service: r.service, Instance: failed[0].ID, Number: r.update.Good, Cause: cause})
		r.p.wait(r.service, "its update to be rolled back")
		return
	}
	r.p.fail(r.service, r.halted)
}

func (r *rollout) tolerates(failed int) bool {
	return float64(failed)/float64(max(1, r.sw.Scale)) <= r.config.MaxFailureRatio
}

// state is how far the service is on its way to its present configuration.
func (r *rollout) state(keep []*Instance) UpdateState {
	states := [3]UpdateState{UpdateUpdating, UpdatePaused, UpdateCompleted}
	if r.sw.Rollback != nil {
		states = [3]UpdateState{RollbackStarted, RollbackPaused, RollbackCompleted}
	}
	switch {
	case r.halted != "" && !r.returns:
		return states[1]
	case r.complete(keep):
		return states[2]
	}
	return states[0]
}

// complete reports whether all replicas are there, up to date, and serve: all but as
// many as may fail.
func (r *rollout) complete(keep []*Instance) bool {
	if r.stale || r.halted != "" || r.sw.Goal != GoalRun || r.sw.Scale == 0 || len(keep) != r.sw.Scale || len(r.surges) > 0 {
		return false
	}
	failed := 0
	for _, i := range keep {
		switch {
		case i.Held || i.Becomes != "" || r.p.outdated(i, r.sw):
			return false
		case r.failed(i):
			failed++
		case !r.proved(i):
			return false
		}
	}
	return failed == 0 || r.tolerates(failed)
}

// report notes in the plan where the service stands.
func (r *rollout) report(keep []*Instance) {
	if !r.underway {
		return
	}
	s := r.p.plan.Services[r.service]
	s.Update = r.state(keep)
	r.p.plan.Services[r.service] = s
}

// retried tells of a replica that made an update pause, when an up came since: it is
// made anew. One that is on its way out stays so, whatever its code.
func (p *planner) retried(i *Instance, sw ServiceWish) bool {
	u, underway := p.seen.Updates[i.Service]
	if !underway || !i.Replaces || i.CreatedSeq < u.Sequence || i.CreatedSeq >= sw.Start {
		return false
	}
	surge := i.Takes != ""
	if !surge && !updateSettings(p.want.Stack.Services[i.Service].Deploy).Declared {
		return false
	}
	switch i.State {
	case StateRunning:
		return i.Health == HealthUnhealthy
	case StateExited:
		return surge || !i.Check.None() || !completed(i)
	}
	return i.Error != ""
}

// first chooses which stale replicas begin: those that serve nobody before others.
func (r *rollout) first(stale []*Instance, n int) map[string]bool {
	slices.SortStableFunc(stale, func(a, b *Instance) int { return cmp.Compare(a.fitness(false), b.fitness(false)) })
	out := map[string]bool{}
	for _, i := range stale[:max(0, min(n, len(stale)))] {
		out[i.ID] = true
	}
	return out
}
