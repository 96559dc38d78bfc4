package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/signal"
)

// kill sends a signal to the processes of running containers. A signal that ends
// is a person's stop: no policy starts the container again.
func (c *Controller) kill(ctx context.Context, cmd Command) error {
	sig := syscall.SIGKILL
	if cmd.Signal != "" {
		s, err := signal.ParseSignal(cmd.Signal)
		if err != nil {
			return err
		}
		sig = s
	}
	c.mu.Lock()
	targets, err := c.targets(cmd.Containers, c.selected(cmd), cmd.Verb)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	c.want.Sequence++
	var hit []*Instance
	for _, i := range targets {
		if !i.live() {
			continue
		}
		if stop, _ := signal.ParseSignal(i.StopSignal); sig == stop || ends(sig) {
			i.Held, i.HeldSeq = true, c.want.Sequence
			c.save(i)
		}
		hit = append(hit, i)
	}
	err = c.Store.SaveWish(c.want.Wish)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if len(hit) == 0 && len(cmd.Containers) > 0 {
		return fmt.Errorf("container %s is not running", strings.Join(cmd.Containers, ", "))
	}
	for _, i := range hit {
		if err := c.Runtime.Kill(ctx, i.ID, sig, false); err != nil {
			return fmt.Errorf("cannot kill container %s: %w", i.Name, err)
		}
		c.publish(i, Event{Action: "kill", Progress: "Killed", Attributes: map[string]string{"signal": signalName(sig)}})
	}
	if sig != syscall.SIGKILL {
		return nil
	}
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		return !slices.ContainsFunc(hit, (*Instance).live), nil
	})
}

// ends reports whether people end programs with a signal.
func ends(sig syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}, sig)
}

func signalName(sig syscall.Signal) string {
	for name, s := range signal.SignalMap {
		if s == sig {
			return "SIG" + name
		}
	}
	return sig.String()
}

// selected are the services a command names, or all.
func (c *Controller) selected(cmd Command) []string {
	if len(cmd.Services) > 0 {
		return cmd.Services
	}
	var all []string
	for _, i := range c.instances {
		all = append(all, i.Service)
	}
	return all
}

func (c *Controller) pause(ctx context.Context, cmd Command) error {
	c.mu.Lock()
	targets, err := c.targets(cmd.Containers, c.selected(cmd), cmd.Verb)
	if err == nil && len(targets) == 0 {
		err = errors.New("no containers to " + string(cmd.Verb))
	}
	for _, i := range targets {
		i.WantPaused = cmd.Verb == VerbPause && i.live()
		c.save(i)
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.await(ctx, 0, func(time.Time) (bool, error) {
		for _, i := range targets {
			if i.live() && i.WantPaused != (i.State == StatePaused) {
				return false, c.failedOp(string(OpPause)+" "+i.Name, string(OpUnpause)+" "+i.Name)
			}
		}
		return true, nil
	})
}

func (c *Controller) failedOp(ids ...string) error {
	for _, id := range ids {
		if msg, ok := c.failed[id]; ok {
			return errors.New(msg)
		}
	}
	return nil
}

// waitExit blocks until the selected containers have stopped and replies with
// their codes.
func (c *Controller) waitExit(ctx context.Context, cmd Command, reply func(Reply)) error {
	c.mu.Lock()
	targets, err := c.targets(cmd.Containers, c.selected(cmd), cmd.Verb)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("no containers to wait for")
	}
	codes := map[string]int{}
	err = c.await(ctx, 0, func(time.Time) (bool, error) {
		for _, i := range targets {
			if _, there := c.instances[i.ID]; there && (i.live() || i.State == StateRestarting || i.State == StateCreated) {
				return false, nil
			}
			codes[i.Name] = exitCode(i)
		}
		return true, nil
	})
	if err == nil {
		reply(Reply{Codes: codes})
	}
	return err
}
