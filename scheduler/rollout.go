package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// A rollout replaces the stale replicas of a service, some at a time, each lot once
// the one before has proved itself. It has no state but the replicas themselves:
//
//	stop-first   stale ── stop ──▶ replace ──▶ start ──▶ proved
//	start-first  stale ── add a surge beside it ──▶ start ──▶ proved ──▶ stop,
//	             remove the stale one ──▶ promote: the surge takes its name
//
// A replica is proved when it runs, is healthy if it is checked, and has been
// running for update_config.monitor. When too many fail the rollout pauses, or the
// service returns to its last good revision, which is a rollout again.
type rollout struct {
	p       *planner
	service string
	sw      ServiceWish
	config  RolloutSettings
	// order says how, for the cause of the operations.
	order      string
	startFirst bool
	// begins are the replicas that begin to be replaced now. A rollout that is not
	// limited is Compose's: all at once, stop-first.
	limited bool
	begins  map[string]bool
	halted  string // why no further replica begins
	returns bool   // since the service is to be rolled back
	surges  map[string]*Instance
	// stale is set while a replica is to be replaced, underway until all have proved
	// themselves.
	stale    bool
	underway bool
	update   Update
}

// newRollout looks at how far the rollout of a service is. keep are its replicas,
// surges those that are to take the place of one of them, by that one's ID.
func (p *planner) newRollout(name string, sw ServiceWish, keep []*Instance, surges map[string]*Instance) *rollout {
	r := &rollout{p: p, service: name, sw: sw, surges: surges}
	r.stale = slices.ContainsFunc(keep, func(i *Instance) bool { return p.stale(i, sw) != "" })
	r.update, r.underway = p.seen.Updates[name]
	if !r.stale && !r.underway {
		return r
	}
	r.configure(keep)
	r.limited = r.config.Declared || r.startFirst
	first := r.update.Good == 0 && sw.Rollback == nil
	if r.limited && (r.stale || !first) {
		r.judge(r.count(keep))
	}
	return r
}

// configure reads what the file says and chooses the order.
func (r *rollout) configure(keep []*Instance) {
	svc := r.p.want.Stack.Services[r.service]
	if r.config = updateSettings(svc.Deploy); r.sw.Rollback != nil {
		r.config = r.sw.Rollback.Settings
	}
	never, rather := r.p.alone(svc), unproven(svc, keep)
	switch reason := cmp.Or(never, rather); {
	case r.config.Order == "stop-first":
		r.order = "stop-first"
	case never == "" && r.config.Order == "start-first", reason == "":
		r.startFirst, r.order = true, "start-first"
	default:
		r.order = "stop-first as " + reason
	}
}

// count finds which replicas may begin now, and returns the fresh ones that failed.
func (r *rollout) count(keep []*Instance) (failed []*Instance) {
	free := r.config.parallel()
	var newest time.Time
	var waiting []*Instance
	look := func(i *Instance) {
		switch {
		case r.failed(i):
			failed = append(failed, i)
		case !r.proved(i):
			free--
			r.p.wait(r.service, "container "+i.Name+" to prove itself")
		}
		if i.Replaces && i.Started.After(newest) {
			newest = i.Started
		}
	}
	for _, i := range keep {
		if r.p.stale(i, r.sw) == "" {
			look(i)
		} else if surge := r.surges[i.ID]; surge != nil && r.p.stale(surge, r.sw) == "" {
			if look(surge); r.proved(surge) {
				free-- // until it has taken its place
			}
		} else if !i.live() || i.State == StateStopping {
			free-- // on its way
		} else {
			waiting = append(waiting, i)
		}
	}
	if pause := r.config.Monitor + r.config.Delay; !newest.IsZero() && r.config.Delay > 0 {
		if left := newest.Add(pause).Sub(r.p.now); left > 0 {
			free = 0
			r.p.plan.requeue(left)
		}
	}
	r.begins = r.first(waiting, free)
	return failed
}

// next plans what comes for one stale replica.
func (r *rollout) next(i *Instance, cause string, after []string, hooks *preparation) {
	surge := r.surges[i.ID]
	switch {
	case surge != nil:
		r.handOver(i, surge, cause, after, hooks)
	case i.Becomes != "": // it took its place, and a crash came before it got the name
		r.p.promote(i, nil)
		r.p.tend(i)
	case !i.live(), i.State == StateStopping:
		r.p.replace(i, cause, after, hooks)
	case !r.limited:
		r.p.replace(i, cause+", "+r.order, after, hooks)
	case r.halted != "":
		r.p.tend(i)
	case !r.begins[i.ID]:
		r.p.wait(r.service, "its other replicas to be updated")
		r.p.tend(i)
	case r.startFirst:
		r.add(i, cause+", "+r.order, after)
		r.p.tend(i)
	default:
		r.p.replace(i, cause+", "+r.order, after, hooks)
	}
}

// surgeName is the name of the replica that is to take the place of another.
func surgeName(i *Instance) string { return i.Name + "-next" }

// add plans a surge.
func (r *rollout) add(i *Instance, cause string, after []string) {
	name := surgeName(i)
	id := r.p.op(Op{Kind: OpSurge, Target: name, Service: r.service, Instance: i.ID, Number: i.Number, Cause: cause, After: after})
	if r.sw.Goal == GoalRun {
		r.p.op(Op{Kind: OpStart, Target: name, Service: r.service, Number: i.Number, Cause: cause, After: []string{id}})
	}
}

// handOver plans the way of a surge to the place of i.
func (r *rollout) handOver(i, surge *Instance, cause string, after []string, hooks *preparation) {
	if other := r.p.stale(surge, r.sw); other != "" {
		if other != causeRetried {
			other += " again"
		}
		r.p.remove(surge, other, nil)
		r.p.tend(i)
		return
	}
	r.p.run(surge, r.sw, hooks, after)
	switch {
	case r.proved(surge):
		end := r.p.remove(i, "container "+surge.Name+" takes its place", nil)
		r.p.promote(surge, []string{end})
	case r.failed(surge):
		if r.halted == "" {
			r.p.fail(r.service, "its update is incomplete: "+complaint(surge))
		}
		r.p.tend(i)
	default:
		r.p.wait(r.service, "container "+surge.Name+" to prove itself")
		r.p.tend(i)
	}
}

// promote plans that a surge gets the name of the replica whose place it took.
func (p *planner) promote(surge *Instance, after []string) {
	p.op(Op{Kind: OpPromote, Target: surge.Name, Service: surge.Service, Instance: surge.ID, Number: surge.Number,
		Cause: "it takes the place of " + surge.Becomes, After: after})
}

// splitSurges takes the replicas that are to take another's place off all. One
// whose predecessor is gone has taken it.
func splitSurges(all []*Instance) (rest []*Instance, surges map[string]*Instance) {
	surges = map[string]*Instance{}
	there := map[string]bool{}
	for _, i := range all {
		there[i.ID] = true
	}
	for _, i := range all {
		if i.Takes != "" && there[i.Takes] {
			surges[i.Takes] = i
			continue
		}
		rest = append(rest, i)
	}
	return rest, surges
}
