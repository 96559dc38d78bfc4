package scheduler

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
)

// A machine that goes down and comes back halts its stacks and boots them. Halt stops
// all containers, dependents first, without anybody having asked for that: boot
// starts those again, dependencies first, and those that the machine's end took
// unawares. As in Docker, what a person stopped stays so, unless its restart policy
// is always; a one-shot that completed is done.

// lost takes note of a container that the machine's end took: nothing of it is in
// the kernel. What its policy says is done in the order of dependencies; called
// under mu.
func (c *Controller) lost(ctx context.Context, i *Instance, now time.Time) {
	exit := runtime.Exit{Code: -1, Unknown: true, At: now}
	history := i.History
	history.Started = i.Started
	history.Stopped = i.State == StateStopping || i.Held || i.OneOff
	again, _ := c.policy(i).Next(exit, history, now)
	i.Exited(exit, RestartPolicy{}, now)
	if again && !c.want.Halted && len(c.want.Schedules[i.Service].Times) == 0 {
		i.WantStart = c.want.Sequence + 1 // resume counts it
	}
	c.save(i)
	c.publishExit(i, exit)
	c.cleanUp(ctx, i)
}

// recount makes a command of what lost asked for; called under mu.
func (c *Controller) recount() {
	c.want.Sequence++
	if err := c.Store.SaveWish(c.want.Wish); err != nil {
		c.Log.Error("cannot record that the machine was started anew", "error", err)
	}
}

// boot carries out VerbBoot: the wish of before.
func (c *Controller) boot(ctx context.Context, cmd Command) error {
	c.mu.Lock()
	w := c.want.Wish
	if w.Stack == nil || w.Down {
		c.mu.Unlock()
		return nil
	}
	w.Sequence++
	w.Halted = false
	w.Services = maps.Clone(w.Services)
	var about []string
	for _, name := range slices.Sorted(maps.Keys(w.Services)) {
		sw := w.Services[name]
		svc, declared := w.Stack.Services[name]
		if declared && sw.Goal == GoalStop && ParseRestart(svc).Condition == types.RestartPolicyAlways {
			sw.Goal, sw.Start = GoalRun, w.Sequence
			w.Services[name] = sw
		}
		if declared && sw.Goal == GoalRun {
			about = append(about, name)
		}
	}
	for _, i := range c.instances {
		if c.comesBack(i, w) {
			i.WantStart = w.Sequence
			c.save(i)
		}
	}
	err := c.adopt(w)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.follow(ctx, cmd, subject{services: about, sequence: w.Sequence})
}

// comesBack reports whether boot starts a container.
func (c *Controller) comesBack(i *Instance, w Wish) bool {
	if i.OneOff || i.Discard || i.live() || w.Services[i.Service].Goal != GoalRun || len(c.want.Schedules[i.Service].Times) > 0 {
		return false
	}
	if i.Held {
		return c.policy(i).Condition == types.RestartPolicyAlways
	}
	return i.Halted || i.Exit != nil && i.Exit.Unknown
}

// halt carries out VerbHalt: nothing runs until the next boot, or command.
func (c *Controller) halt(ctx context.Context) error {
	c.mu.Lock()
	w := c.want.Wish
	if w.Stack == nil || w.Down {
		c.mu.Unlock()
		return nil
	}
	w.Sequence++
	w.Halted = true
	err := c.adopt(w)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		if !c.want.Halted {
			return true, errors.New("another command came meanwhile")
		}
		return len(c.plan.Ops) == 0 && len(c.inFlight) == 0, nil
	})
}

// halt plans that everything stops.
func (p *planner) halt() {
	known := map[string]bool{}
	for _, name := range p.want.Graph.Reverse() {
		known[name] = true
		var after []string
		for _, d := range p.want.Graph.Dependents(name) {
			for _, r := range p.seen.replicas(d.Service) {
				if r.live() {
					after = append(after, string(OpStop)+" "+r.Name)
				}
			}
		}
		for _, r := range p.seen.replicas(name) {
			p.still(r, after)
		}
	}
	for _, r := range p.seen.Instances {
		if r.OneOff || !known[r.Service] {
			p.still(r, nil)
		}
	}
}

func (p *planner) still(r *Instance, after []string) {
	if r.live() || r.State == StateRestarting {
		p.stop(r, "the machine goes down", after)
	}
}
