package external

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Delete implements runtime.Runtime. It works from any state that a crash may have
// left, and without the program that made the container.
func (r *Runtime) Delete(ctx context.Context, id string, force bool) error {
	h, err := r.lockToDelete(ctx, id, force)
	if err != nil {
		return err
	}
	defer h.Close()
	rec, err := h.read()
	if err != nil && !force {
		return err
	}
	if rec != nil && rec.Pid != 0 && !force {
		switch status, err := r.status(ctx, h, rec); {
		case err != nil:
			return err
		case status == runtime.Running || status == runtime.Paused:
			return fmt.Errorf("cannot delete container %s: %w", id, runtime.ErrRunning)
		}
	}
	return r.destroy(ctx, h, rec)
}

// lockToDelete takes the exclusive lock. Those who execute hold it shared, one after
// another without end: a forced delete keeps newcomers out.
func (r *Runtime) lockToDelete(ctx context.Context, id string, force bool) (*home, error) {
	if !force {
		return r.lock(ctx, id, unix.LOCK_EX)
	}
	h, err := r.open(id)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := h.mark(deletingName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	locked, err := r.lock(ctx, id, unix.LOCK_EX)
	if err != nil {
		os.Remove(h.Name(deletingName))
	}
	return locked, err
}

// destroy kills whatever is left of a container and forgets it. The program comes
// first, since it may have more than the kernel shows (a sandbox, hooks); what it
// leaves is ours to remove.
func (r *Runtime) destroy(ctx context.Context, h *home, rec *record) error {
	if rec == nil {
		return h.Remove()
	}
	if err := r.killCreator(ctx, h); err != nil {
		return err
	}
	var failed error
	if h.Has(stateName) {
		_, failed = h.run(ctx, program{rec.Program}, program{rec.Program}.delete(h.ID), nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	err := r.Host.Sweep(rec.Cgroup)
	if err == nil && rec.Pid != 0 { // it was moved out of its cgroup, or that is gone
		err = r.Host.KillProcess(ctx, rec.Pid, rec.StartTime)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot delete container %s: %w", h.ID, err), failed)
	}
	if failed != nil {
		r.Log.Warn("a container is deleted, but its runtime failed to", "container", h.ID, "error", failed)
	}
	return h.Remove()
}

// killCreator ends a create whose caller died. It is dying, since it got a signal
// with that thread's end, but may still be at work.
func (r *Runtime) killCreator(ctx context.Context, h *home) error {
	b, err := os.ReadFile(h.Name(creatingName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read who creates container %s: %w", h.ID, err)
	}
	var pid int
	var start uint64
	if _, err := fmt.Sscan(string(b), &pid, &start); err != nil {
		return nil // half written: its end is the kernel's signal alone
	}
	return r.Host.KillProcess(ctx, pid, start)
}
