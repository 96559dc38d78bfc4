package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// waiter is a command that waits for the world to agree.
type waiter struct {
	check    func(now time.Time) (done bool, err error)
	deadline time.Time
	done     chan error
}

// errTimeout is what a command with --wait-timeout ends with.
var errTimeout = errors.New("timeout waiting for services")

// await blocks until check, called under mu after each turn, says done.
func (c *Controller) await(ctx context.Context, timeout time.Duration, check func(now time.Time) (bool, error)) error {
	w := &waiter{check: check, done: make(chan error, 1)}
	if timeout > 0 {
		w.deadline = c.Now().Add(timeout)
	}
	c.mu.Lock()
	c.waiters[w] = struct{}{}
	c.mu.Unlock()
	c.Wake()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waiters, w)
		c.mu.Unlock()
		c.Wake()
		return ctx.Err()
	}
}

// answer ends the waiters whose condition holds.
func (c *Controller) answer(now time.Time) {
	for w := range c.waiters {
		done, err := w.check(now)
		if !done && !w.deadline.IsZero() && !now.Before(w.deadline) {
			done, err = true, errTimeout
		}
		if done {
			delete(c.waiters, w)
			w.done <- err
		}
	}
}

// settled reports whether nothing is left to do for the services, and what failed.
func (c *Controller) settled(services []string) (bool, error) {
	if c.want.Down {
		return true, errors.New("the project was taken down meanwhile")
	}
	var errs *multierror.Error
	done := true
	for _, name := range services {
		s := c.plan.Services[name]
		switch {
		case s.Failed != "" && !c.observedBusy(name):
			errs = multierror.Append(errs, errors.New(s.Failed))
		case !s.Done:
			done = false
		}
	}
	for _, op := range c.plan.Ops {
		if op.Service == "" {
			done = false
		}
	}
	for id := range c.inFlight {
		if c.inFlight[id].Service == "" {
			done = false
		}
	}
	if msg, ok := c.plan.Services[""]; ok && msg.Failed != "" {
		errs = multierror.Append(errs, errors.New(msg.Failed))
	}
	if errs != nil && done {
		errs.ErrorFormat = oneALine
		return true, unique(errs)
	}
	if errs != nil {
		// What waits for the failed one will never come; what still works on is awaited.
		return !c.busyWith(services), unique(errs)
	}
	return done && c.balance.recorded(), nil
}

func (c *Controller) observedBusy(service string) bool {
	for _, op := range c.inFlight {
		if op.Service == service {
			return true
		}
	}
	return false
}

// busyWith reports whether any operation of the services, or of none, is under way
// or about to begin.
func (c *Controller) busyWith(services []string) bool {
	for _, op := range c.inFlight {
		if op.Service == "" || slices.Contains(services, op.Service) {
			return true
		}
	}
	for _, op := range c.plan.Ops {
		if len(op.After) == 0 && slices.Contains(services, op.Service) {
			return true
		}
	}
	return false
}

// earlyDeath is how long --wait looks at a replica without health check: many a
// program that cannot work says so and ends at once. Docker Compose looks as long.
const earlyDeath = 500 * time.Millisecond

// healthy reports whether every replica of the services runs and is healthy, or
// has completed with 0.
func (c *Controller) healthy(services []string) (bool, error) {
	for _, i := range c.instances {
		if i.OneOff || !slices.Contains(services, i.Service) {
			continue
		}
		checked := i.Health != "" && i.Health != HealthNone
		switch {
		case i.State == StateExited && i.Exit != nil && i.Exit.Code != 0:
			return true, fmt.Errorf("container %s exited (%d)", i.Name, i.Exit.Code)
		case i.Health == HealthUnhealthy:
			return true, fmt.Errorf("container %s is unhealthy%s", i.Name, lastProbe(i))
		case i.State == StateRestarting:
			return false, nil
		case checked && i.Health != HealthHealthy:
			return false, nil
		case !checked && i.State == StateRunning && c.Now().Sub(i.Started) < earlyDeath:
			c.plan.requeue(earlyDeath - c.Now().Sub(i.Started))
			return false, nil
		}
	}
	return true, nil
}

func oneALine(errs []error) string {
	lines := make([]string, len(errs))
	for n, err := range errs {
		lines[n] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// unique drops repeated messages: a failed dependency is reported by each dependent.
func unique(in *multierror.Error) error {
	out := &multierror.Error{ErrorFormat: oneALine}
	seen := map[string]bool{}
	for _, err := range in.Errors {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			out.Errors = append(out.Errors, err)
		}
	}
	return out.ErrorOrNil()
}
