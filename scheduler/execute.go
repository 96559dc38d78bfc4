package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/moby/sys/signal"

	"stack/runtime"
)

// begin starts an operation; its end wakes the loop. Called under mu.
func (c *Controller) begin(ctx context.Context, op Op) {
	c.inFlight[op.ID] = op
	c.spawn(func() { c.finish(op, c.perform(ctx, op)) })
}

func (c *Controller) spawn(f func()) {
	c.ops.Add(1)
	go func() {
		defer c.ops.Done()
		f()
	}()
}

// finish takes an operation off the list. A failure is final until the next
// command: the same input would fail the same way.
func (c *Controller) finish(op Op, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inFlight, op.ID)
	c.tally.operation(op, err)
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case op.Kind == OpStart: // told by the instance itself
	default:
		c.failed[op.ID] = err.Error()
		c.Log.Warn("operation failed", "operation", op.ID, "error", err)
	}
	c.nudge()
}

func (c *Controller) perform(ctx context.Context, op Op) error {
	switch op.Kind {
	case OpNetwork, OpNetworkAlter, OpNetworkRemove:
		return c.makeNetworks(ctx, op)
	case OpVolume:
		return c.makeVolume(ctx, op)
	case OpVolumeRemove:
		return c.removeVolume(op)
	case OpImage:
		return c.resolveImage(ctx, op)
	case OpCreate, OpSurge:
		return c.create(op, nil)
	case OpHook:
		return c.newHook(ctx, op)
	case OpReplace:
		return c.replace(ctx, op)
	case OpPromote:
		return c.promote(op)
	case OpUpdate:
		return c.refresh(ctx, op)
	case OpRollback:
		return c.rollBack(op)
	case OpStart:
		return c.start(ctx, op)
	case OpStop:
		return c.stop(ctx, op)
	case OpRemove:
		return c.remove(ctx, op)
	case OpSkip:
		return c.skip(op)
	case OpPause, OpUnpause:
		return c.freeze(ctx, op)
	}
	return fmt.Errorf("cannot perform %q", op.Kind)
}

// instance returns a copy of an instance, safe to read without mu.
func (c *Controller) instance(id string) (Instance, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.instances[id]
	if !ok {
		return Instance{}, false
	}
	return *i, true
}

// update changes an instance under mu and records it.
func (c *Controller) update(id string, f func(*Instance)) {
	c.alter(id, func(i *Instance) {
		f(i)
		c.save(i)
	})
}

// alter changes an instance under mu without recording it: what need not outlive
// this controller.
func (c *Controller) alter(id string, f func(*Instance)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := c.instances[id]; ok {
		f(i)
	}
}

func newID() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails on Linux with getrandom
	return hex.EncodeToString(b)
}

// create records a new replica; nothing of it exists in the kernel before start.
func (c *Controller) create(op Op, old *Instance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	svc, ok := c.want.Stack.Services[op.Service]
	if !ok {
		return fmt.Errorf("no such service: %s", op.Service)
	}
	img := c.images[op.Service]
	i := &Instance{
		ID: newID(), Name: op.Target, Service: op.Service, Number: op.Number,
		Hash: c.want.Hashes[op.Service], Recreate: c.want.Recreates[op.Service], Image: ImageName(c.Store.Project, svc), Digest: img.Digest, Sources: c.sources[op.Service],
		State: StateCreated, Created: c.Now(), CreatedSeq: c.want.Sequence, Replaces: old != nil, untouched: true,
	}
	if op.Kind == OpSurge {
		stale, ok := c.instances[op.Instance]
		if !ok {
			return nil // nobody's place is left to take: the next plan makes a replica
		}
		i.Takes, i.Becomes, i.Replaces = stale.ID, stale.Name, true
	}
	if err := c.describe(i, svc, img); err != nil {
		return err
	}
	c.publish(i, Event{Action: "create", Progress: "Creating"})
	if err := c.Store.SaveInstance(i); err != nil {
		return err
	}
	c.instances[i.ID] = i
	c.detail(i, svc, img)
	c.publish(i, Event{Progress: createdWord(old)})
	return nil
}

func createdWord(old *Instance) string {
	if old != nil {
		return "Recreated"
	}
	return "Created"
}

// replace makes the fresh replica before it forgets the stale one, so that a crash
// in between leaves two of one number, of which Reconcile removes the elder.
func (c *Controller) replace(ctx context.Context, op Op) error {
	old, ok := c.instance(op.Instance)
	if !ok {
		return nil
	}
	if err := c.create(op, &old); err != nil {
		return err
	}
	return c.forget(ctx, old, c.renewsVolumes(op.Service))
}

// promote gives a surge the name of the replica whose place it took.
func (c *Controller) promote(op Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.instances[op.Instance]
	if !ok || i.Becomes == "" {
		return nil
	}
	i.Name, i.Takes, i.Becomes = i.Becomes, "", ""
	c.save(i)
	c.publish(i, Event{Action: "rename", Progress: "Recreated"})
	return nil
}

func (c *Controller) renewsVolumes(service string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Services[service].RenewVolumes
}

// stop asks a replica to end and kills it when its grace is over. The exit itself
// is observed by the loop.
func (c *Controller) stop(ctx context.Context, op Op) error {
	i, ok := c.instance(op.Instance)
	if !ok || !i.live() && i.State != StateRestarting {
		return nil
	}
	deadline := i.StopDeadline
	c.update(i.ID, func(i *Instance) {
		if deadline.IsZero() {
			deadline = c.Now().Add(c.want.grace(i))
		}
		sw := c.want.Services[i.Service]
		i.Unwell = i.Unwell || op.Unhealthy && i.State == StateRunning
		i.Again = i.Again || op.Again && (i.State == StateRunning || i.State == StatePaused)
		i.Halted = i.Halted || c.want.Halted
		i.StopAsked(i.stopIsFinal() || sw.Goal == GoalStop, c.want.Sequence, deadline)
	})
	if i.Unwell = i.Unwell || op.Unhealthy; op.Unhealthy {
		c.publish(&i, Event{Action: ActionRepair, Attributes: map[string]string{"fault": "unhealthy" + lastProbe(&i)}})
	}
	c.publish(&i, Event{Action: "stop", Progress: "Stopping"})
	if !i.live() { // nothing runs: its restart is called off, that is all
		c.publish(&i, Event{Progress: "Stopped"})
		return nil
	}
	c.drain(ctx, &i)
	if err := c.preStop(ctx, &i, deadline); err != nil {
		c.mu.Lock()
		c.failed["hook "+i.ID] = err.Error()
		c.mu.Unlock()
	}
	if err := c.terminate(ctx, &i, deadline); err != nil {
		return fmt.Errorf("cannot stop container %s: %w", i.Name, err)
	}
	c.publish(&i, Event{Progress: "Stopped"})
	return nil
}

// terminate signals, waits, kills and waits again.
func (c *Controller) terminate(ctx context.Context, i *Instance, deadline time.Time) error {
	sig, err := signal.ParseSignal(i.StopSignal)
	if err != nil {
		sig, _ = signal.ParseSignal("SIGTERM")
	}
	if i.State == StatePaused {
		if err := c.Runtime.Resume(ctx, i.ID); err != nil && !gone(err) {
			return err
		}
	}
	if err := c.Runtime.Kill(ctx, i.ID, sig, false); err != nil && !gone(err) {
		return err
	}
	if i.Unwell { // of a SIGSTOP, perhaps: it could not take note of the signal
		wake, _ := signal.ParseSignal("SIGCONT")
		if err := c.Runtime.Kill(ctx, i.ID, wake, true); err != nil && !gone(err) {
			return err
		}
	}
	if c.ends(ctx, i.ID, deadline) {
		return nil
	}
	kill, _ := signal.ParseSignal("SIGKILL")
	if err := c.Runtime.Kill(ctx, i.ID, kill, true); err != nil && !gone(err) {
		return err
	}
	if !c.ends(ctx, i.ID, c.Now().Add(defaultGrace)) {
		return errors.New("it survived SIGKILL")
	}
	return nil
}

func gone(err error) bool {
	return errors.Is(err, runtime.ErrNotRunning) || errors.Is(err, runtime.ErrNotFound)
}

// ends waits until the loop has observed the instance's end.
func (c *Controller) ends(ctx context.Context, id string, deadline time.Time) bool {
	left := max(deadline.Sub(c.Now()), time.Millisecond)
	err := c.await(ctx, left, func(time.Time) (bool, error) {
		i, ok := c.instances[id]
		return !ok || !i.live(), nil
	})
	return err == nil
}

// remove forgets an instance with all it owns.
func (c *Controller) remove(ctx context.Context, op Op) error {
	i, ok := c.instance(op.Instance)
	if !ok {
		return nil
	}
	c.publish(&i, Event{Progress: "Removing"})
	if err := c.forget(ctx, i, c.removesVolumes(&i)); err != nil {
		return fmt.Errorf("cannot remove container %s: %w", i.Name, err)
	}
	c.publish(&i, Event{Action: "destroy", Progress: "Removed"})
	return nil
}

func (c *Controller) removesVolumes(i *Instance) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.want.Down && c.want.RemoveVolumes || i.DiscardVolumes || i.OneOff
}

// forget removes an instance from the kernel, then from disk.
func (c *Controller) forget(ctx context.Context, i Instance, volumes bool) error {
	if err := c.Runtime.Delete(ctx, i.ID, true); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	c.withdraw(ctx, &i)
	if volumes {
		if err := c.removeAnonymous(&i); err != nil {
			return err
		}
	}
	if err := c.Store.DeleteFiles(i.ID); err != nil {
		return err
	}
	// Record and memory together: a command that marks the instance between the two
	// would write the record again.
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.Store.DeleteRecord(i.ID); err != nil {
		return err
	}
	delete(c.instances, i.ID)
	return nil
}

func (c *Controller) freeze(ctx context.Context, op Op) error {
	i, ok := c.instance(op.Instance)
	if !ok {
		return nil
	}
	act, action, progress := c.Runtime.Pause, "pause", "Paused"
	if op.Kind == OpUnpause {
		act, action, progress = c.Runtime.Resume, "unpause", "Unpaused"
	}
	if err := act(ctx, i.ID); err != nil {
		return fmt.Errorf("cannot %s container %s: %w", action, i.Name, err)
	}
	c.update(i.ID, func(i *Instance) { i.PauseChanged(op.Kind == OpPause) })
	c.publish(&i, Event{Action: action, Progress: progress})
	return nil
}
