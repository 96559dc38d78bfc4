package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// subject is what a command is about, and so waits for.
type subject struct {
	services  []string
	instances []*Instance // those that it names, or those of the services
	sequence  uint64
}

// follow waits until the wish of the command is met.
func (c *Controller) follow(ctx context.Context, cmd Command, about subject) error {
	services := about.services
	err := c.await(ctx, cmd.WaitTimeout, func(time.Time) (bool, error) {
		if cmd.Verb == VerbDown && len(cmd.Services) == 0 {
			return c.nothingMore()
		}
		if cmd.Verb == VerbRemove || len(cmd.Containers) > 0 {
			return c.workDone(about)
		}
		done, err := c.settled(services)
		if done {
			err = errors.Join(c.undone(about), err)
		}
		if err != nil || !done {
			return done, err
		}
		if cmd.Verb == VerbStop { // or clients that run would wait for an answer of who is gone
			return c.balance.settled(), nil
		}
		if !cmd.Wait {
			return true, nil
		}
		if done, err = c.healthy(services); err != nil || !done {
			return done, err
		}
		return c.balance.settled(), nil // clients that ran before know of them as well
	})
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("%w: %s", err, c.unready(services))
	}
	if err == nil && cmd.Verb == VerbDown && len(cmd.Services) == 0 {
		err = c.downEnd(ctx)
	}
	return errors.Join(err, c.hookErrors())
}

// hookErrors are the failed pre_stop hooks of this command's stops.
func (c *Controller) hookErrors() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(c.failed)) {
		if strings.HasPrefix(id, "hook ") {
			errs = append(errs, errors.New(c.failed[id]))
		}
	}
	return errors.Join(errs...)
}

// downEnd forgets a project of which nothing is left.
func (c *Controller) downEnd(ctx context.Context) error {
	c.mu.Lock()
	if len(c.instances) > 0 { // orphans stay
		defer c.mu.Unlock()
		c.unpark(ctx)
		return nil
	}
	c.ended = true // a next command begins with a new controller and a new record
	c.mu.Unlock()
	c.balance.write.Close()
	c.balance.lead.Close()
	c.network.Close() // or what is under way would make again what is removed
	if err := c.Network.Remove(ctx); err != nil {
		return err
	}
	if err := c.Store.ReleaseIDs(); err != nil {
		return err
	}
	return c.Store.RemoveProject()
}

// unready names what a timed-out wait still waited for.
func (c *Controller) unready(services []string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, i := range c.instances {
		if i.OneOff || !slices.Contains(services, i.Service) || i.Health == HealthHealthy {
			continue
		}
		if i.State != StateRunning || i.Health != "" && i.Health != HealthNone {
			is := string(i.State)
			if i.Health != "" && i.Health != HealthNone {
				is += ", health: " + string(i.Health)
			}
			out = append(out, i.Name+" is "+is+lastProbe(i))
		}
	}
	for _, s := range services {
		if w := c.plan.Services[s].Waiting; w != "" {
			out = append(out, s+" waits for "+w)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// nothingMore reports whether no operation is under way and none can begin, and
// what failed on the way: what waits for a failed one never will.
func (c *Controller) nothingMore() (bool, error) {
	begins := func(op Op) bool { return len(op.After) == 0 }
	if len(c.inFlight) > 0 || slices.ContainsFunc(c.plan.Ops, begins) {
		return false, nil
	}
	var reasons []string
	for _, s := range c.plan.Services {
		if s.Failed != "" {
			reasons = append(reasons, s.Failed)
		}
	}
	if len(reasons) > 0 {
		slices.Sort(reasons)
		return true, errors.New(strings.Join(slices.Compact(reasons), "\n"))
	}
	return true, nil
}

// workDone reports whether nothing is under way for the containers of a command, or
// about to be, and what failed of them. What others wait for does not hold it up.
func (c *Controller) workDone(about subject) (bool, error) {
	concerns := func(op Op) bool {
		return slices.ContainsFunc(about.instances, func(i *Instance) bool { return op.Instance == i.ID })
	}
	for _, op := range c.inFlight {
		if concerns(op) {
			return false, nil
		}
	}
	coming := c.coming()
	for _, op := range c.plan.Ops {
		if concerns(op) && coming[op.ID] {
			return false, nil
		}
	}
	var errs []error
	for _, i := range about.instances {
		if _, there := c.instances[i.ID]; there && i.Error != "" && i.FailedSeq >= about.sequence {
			errs = append(errs, fmt.Errorf("container %s: %s", i.Name, i.Error))
		}
		for _, kind := range []Kind{OpStop, OpRemove, OpStart} {
			errs = append(errs, c.failedOp(string(kind)+" "+i.Name))
		}
	}
	return true, errors.Join(errs...)
}

// coming are the planned operations that will begin if all goes well: what they
// wait for is under way or coming itself, not failed.
func (c *Controller) coming() map[string]bool {
	coming := map[string]bool{}
	sure := func(id string) bool {
		_, running := c.inFlight[id]
		return running || coming[id]
	}
	for grew := true; grew; {
		grew = false
		for _, op := range c.plan.Ops {
			if !coming[op.ID] && !slices.ContainsFunc(op.After, func(id string) bool { return !sure(id) }) {
				coming[op.ID], grew = true, true
			}
		}
	}
	return coming
}
