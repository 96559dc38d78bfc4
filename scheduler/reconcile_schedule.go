package scheduler

import (
	"slices"
	"strings"
	"time"
)

// A one-shot service with x-stack.once is not started by an up while it has completed
// as it is now: another configuration, image or content makes a new container.
//
// One with a schedule is started when its time comes, and by name, never by an up. A
// run that was due when nobody looked (the machine was off) is not made up for unless
// the schedule says so, but a controller that was away for a moment starts it late.

// scheduleSlack is how late a run may begin.
const scheduleSlack = 10 * time.Second

// completedOnce reports whether what an up asks of a replica was done before.
func (p *planner) completedOnce(r *Instance, sw ServiceWish) bool {
	return p.want.Once[r.Service] && sw.Start == sw.Upped && completed(r)
}

// asked is the last command that asks a replica to run.
func (p *planner) asked(r *Instance, sw ServiceWish) uint64 {
	if p.scheduled(r.Service) && sw.Start == sw.Upped {
		return 0
	}
	return sw.Start
}

func (p *planner) scheduled(service string) bool { return len(p.want.Schedules[service].Times) > 0 }

// timed plans a scheduled replica: its due start, or nothing before that.
func (p *planner) timed(r *Instance, sw ServiceWish, hooks *preparation, after []string) {
	due, next := p.due(r, sw)
	if !next.IsZero() {
		p.plan.requeue(next.Sub(p.now))
	}
	switch {
	case !due:
	case p.want.Schedules[r.Service].Queue && (r.live() || r.State == StateRestarting):
	case r.live() || r.State == StateRestarting:
		p.op(Op{Kind: OpSkip, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: "it still runs when it is due again"})
	case hooks.started(r.Number, r, after):
		p.op(Op{Kind: OpStart, Target: r.Name, Service: r.Service, Instance: r.ID, Number: r.Number, Cause: "its schedule " + strings.Join(p.want.Schedules[r.Service].Times, ", "), After: after})
		return
	default:
		return
	}
	p.run(r, sw, hooks, after)
}

// due reports whether a run should have begun and was not noticed yet, and when the
// next one is.
func (p *planner) due(r *Instance, sw ServiceWish) (bool, time.Time) {
	if p.want.timeless || sw.Goal != GoalRun || r.Held || r.Discard {
		return false, time.Time{}
	}
	schedule := p.want.Schedules[r.Service]
	known := []time.Time{r.Created, r.Started, r.Ticked}
	queued := schedule.Queue && (r.live() || p.now.Sub(r.Finished) < scheduleSlack)
	if !schedule.CatchUp && !queued {
		known = append(known, p.now.Add(-scheduleSlack))
	}
	next, err := schedule.Next(slices.MaxFunc(known, time.Time.Compare))
	if err != nil {
		return false, time.Time{} // none comes any more
	}
	if !next.After(p.now) {
		return true, time.Time{}
	}
	return false, next
}

// skip notes that a run was not begun, since the one before it goes on.
func (c *Controller) skip(op Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.instances[op.Instance]
	if !ok {
		return nil
	}
	i.Ticked = c.Now()
	c.save(i)
	c.publish(i, Event{Action: "schedule_skipped"})
	return nil
}

// NextRuns are the times when the scheduled services that are up run next.
func (s *Store) NextRuns(now time.Time) (map[string]time.Time, error) {
	w, err := s.LoadWish()
	if err != nil || w.Stack == nil || w.Down {
		return nil, err
	}
	out := map[string]time.Time{}
	for name := range w.Stack.Services {
		if w.Services[name].Goal != GoalRun {
			continue
		}
		if next, err := w.Stack.Schedule(name).Next(now); err == nil {
			out[name] = next
		}
	}
	return out, nil
}
