package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// A rollout replaces the stale replicas of a service, some at a time, each lot once
// the one before has proved itself. It has no state but the replicas themselves:
//
//	stop-first   stale ── stop ──▶ replace ──▶ start ──▶ proved
//	start-first  stale ── add a surge beside it ──▶ start ──▶ proved ──▶ stop,
//	             remove the stale one ──▶ promote: the surge takes its name
//
// A replica is proved when it runs, is healthy if it is checked, and has been
// running for update_config.monitor.
type rollout struct {
	p       *planner
	service string
	sw      ServiceWish
	config  types.UpdateConfig
	// order says how, for the cause of the operations.
	order      string
	startFirst bool
	// free is how many more replicas may begin to be replaced. A rollout that is not
	// limited is Compose's: all at once, stop-first.
	limited bool
	free    int
	halted  string // why no further replica begins
	surges  map[string]*Instance
}

// newRollout looks at how far the rollout of a service is. keep are its replicas,
// surges those that are to take the place of one of them, by that one's ID.
func (p *planner) newRollout(name string, sw ServiceWish, keep []*Instance, surges map[string]*Instance) *rollout {
	r := &rollout{p: p, service: name, sw: sw, surges: surges}
	stale := slices.ContainsFunc(keep, func(i *Instance) bool { return p.stale(i, sw) != "" })
	if !stale {
		return r
	}
	declared := r.configure(keep)
	if r.limited = declared || r.startFirst; r.limited {
		r.count(keep)
	}
	return r
}

// configure reads update_config and chooses the order; it reports whether the file
// says anything.
func (r *rollout) configure(keep []*Instance) (declared bool) {
	svc := r.p.want.Stack.Services[r.service]
	if declared = svc.Deploy != nil && svc.Deploy.UpdateConfig != nil; declared {
		r.config = *svc.Deploy.UpdateConfig
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
	return declared
}

// parallel is how many replicas are replaced at a time: one, unless the file says
// otherwise; there 0 means all.
func (r *rollout) parallel() int {
	switch n := r.config.Parallelism; {
	case n == nil:
		return 1
	case *n == 0 || *n > math.MaxInt32:
		return math.MaxInt32
	default:
		return int(*n)
	}
}

// count finds how many replicas may begin now.
func (r *rollout) count(keep []*Instance) {
	r.free = r.parallel()
	var newest time.Time
	failed := 0
	look := func(i *Instance) {
		switch {
		case r.failed(i):
			failed++
		case !r.proved(i):
			r.free--
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
				r.free-- // until it has taken its place
			}
		} else if !i.live() || i.State == StateStopping {
			r.free-- // on its way
		}
	}
	if failed > 0 && float64(failed)/float64(max(1, r.sw.Scale)) > float64(r.config.MaxFailureRatio) && r.config.FailureAction != "continue" {
		r.halted = fmt.Sprintf("its update is paused: %d of %d replicas failed", failed, r.sw.Scale)
	}
	if pause := time.Duration(r.config.Monitor) + time.Duration(r.config.Delay); !newest.IsZero() && r.config.Delay > 0 {
		if left := newest.Add(pause).Sub(r.p.now); left > 0 {
			r.free = 0
			r.p.plan.requeue(left)
		}
	}
}

// proved reports whether a fresh replica serves as it should.
func (r *rollout) proved(i *Instance) bool {
	switch {
	case r.sw.Goal != GoalRun, i.Held, completed(i):
		return true
	case i.State == StatePaused:
		return true
	case i.fitness(false) != ready:
		return false
	}
	left := i.Started.Add(time.Duration(r.config.Monitor)).Sub(r.p.now)
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
	case i.Error != "", i.Health == HealthUnhealthy, i.State == StateRestarting:
		return true
	case i.State == StateExited:
		return !completed(i) && i.reached() >= r.sw.Start
	}
	return i.Restarts > 0 && r.p.now.Sub(i.Started) < time.Duration(r.config.Monitor)
}

// next plans what comes for one stale replica.
func (r *rollout) next(i *Instance, cause string, after []string, hooks *preparation) {
	surge := r.surges[i.ID]
	switch {
	case surge != nil:
		r.handOver(i, surge, cause, after, hooks)
	case !i.live(), i.State == StateStopping:
		r.p.replace(i, cause, after, hooks)
	case !r.limited:
		r.p.replace(i, cause+", "+r.order, after, hooks)
	case r.halted != "":
		r.p.fail(r.service, r.halted)
		r.p.tend(i)
	case r.free <= 0:
		r.p.wait(r.service, "its other replicas to be updated")
		r.p.tend(i)
	case r.startFirst:
		r.free--
		r.add(i, cause+", "+r.order, after)
		r.p.tend(i)
	default:
		r.free--
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
		r.p.remove(surge, other+" again", nil)
		r.p.tend(i)
		return
	}
	r.p.run(surge, r.sw, hooks, after)
	switch {
	case r.proved(surge):
		end := r.p.remove(i, "container "+surge.Name+" takes its place", nil)
		r.p.promote(surge, []string{end})
	case r.failed(surge):
		r.p.fail(r.service, cmp.Or(r.halted, "its update is incomplete")+": container "+surge.Name+" is not ready"+lastProbe(surge))
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
