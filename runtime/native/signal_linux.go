package native

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/cgroup"
)

// live is a container whose first process runs.
type live struct {
	*home
	*record
	group *cgroup.Group
}

// live opens a container under a lock and checks that its first process runs.
// The caller closes it.
func (r *Runtime) live(ctx context.Context, id string, lock int) (*live, error) {
	h, err := r.lock(ctx, id, lock)
	if err != nil {
		return nil, err
	}
	l, err := h.live()
	if err != nil {
		h.Close()
		return nil, err
	}
	return l, nil
}

func (h *home) live() (*live, error) {
	rec, err := h.read()
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotRunning, h.ID)
	}
	switch ok, err := alive(rec.Pid, rec.StartTime); {
	case err != nil:
		return nil, fmt.Errorf("cannot tell whether container %s runs: %w", h.ID, err)
	case !ok:
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotRunning, h.ID)
	}
	group, err := rec.group()
	if err == nil && group == nil {
		err = fmt.Errorf("cannot find the cgroup of container %s: %w", h.ID, cgroup.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return &live{h, rec, group}, nil
}

// Kill implements runtime.Runtime. Signals sent to all reach every process that
// was there; SIGKILL reaches those forked meanwhile, too.
func (r *Runtime) Kill(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	l, err := r.live(ctx, id, unix.LOCK_EX)
	if all && errors.Is(err, runtime.ErrNotRunning) {
		return r.killRest(ctx, id, sig, err)
	}
	if err != nil {
		return err
	}
	defer l.Close()
	if all && sig == unix.SIGKILL {
		return l.group.Kill()
	}
	if all {
		return l.signalAll(sig)
	}
	pidfd, err := openProcess(l.Pid, l.StartTime)
	if err != nil {
		return err
	}
	defer pidfd.Close()
	return signalProcess(pidfd, sig)
}

// killRest signals what the first process left behind, as it may in a pid namespace
// that it shared; dead is the error if that is nothing.
func (r *Runtime) killRest(ctx context.Context, id string, sig syscall.Signal, dead error) error {
	h, err := r.lock(ctx, id, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer h.Close()
	rec, err := h.read()
	if err != nil || rec == nil {
		return errors.Join(dead, err)
	}
	group, err := rec.group()
	if err != nil || group == nil {
		return errors.Join(dead, err)
	}
	if pids, err := group.Pids(); err != nil || len(pids) == 0 {
		return errors.Join(dead, err)
	}
	if sig == unix.SIGKILL {
		return group.Kill()
	}
	return (&live{h, rec, group}).signalAll(sig)
}

func (l *live) signalAll(sig syscall.Signal) error {
	pids, err := l.group.Pids()
	if err != nil {
		return err
	}
	var failed []error
	for _, pid := range pids {
		if err := l.signalOne(pid, sig); err != nil && !errors.Is(err, runtime.ErrNotRunning) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// signalOne signals a process of the group. It looks for the pid once more after
// the pidfd fixed its meaning: the number may have been given to another.
func (l *live) signalOne(pid int, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	now, err := l.group.Pids()
	if err != nil || !slices.Contains(now, pid) {
		return err
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot signal process %d: %w", pid, err)
	}
	return nil
}

// Delete implements runtime.Runtime. It works from any state that a crash may
// have left, and with force from a record that is not understood: what that names is
// killed, so that nothing lives on which nobody knows.
func (r *Runtime) Delete(ctx context.Context, id string, force bool) error {
	h, err := r.lock(ctx, id, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer h.Close()
	rec, err := r.read(h)
	if err != nil && (!force || rec == nil) {
		return err
	}
	if rec == nil {
		return h.Remove()
	}
	if rec.Cgroup == "" {
		rec.Cgroup = cgroupPath(id, "")
	}
	group, err := rec.group()
	if err != nil {
		return err
	}
	if !force {
		switch status, err := h.status(rec, group); {
		case err != nil:
			return err
		case status == runtime.Running || status == runtime.Paused:
			return fmt.Errorf("cannot delete container %s: %w", id, runtime.ErrRunning)
		}
	}
	if err := rec.destroy(ctx, group); err != nil {
		return fmt.Errorf("cannot delete container %s: %w", id, err)
	}
	if err := h.Remove(); err != nil {
		return err
	}
	if err := rec.afterwards(ctx); err != nil {
		r.log.Warn("a container is deleted, but its hooks failed", "container", id, "error", err)
	}
	return nil
}

// afterwards runs the poststop hooks: all, whatever happens to some of them.
func (rec *record) afterwards(ctx context.Context) error {
	state, err := rec.hookState(specs.StateStopped, 0)
	if err != nil {
		return err
	}
	var failed []error
	for _, h := range rec.Poststop {
		failed = append(failed, runHooks(ctx, "poststop", []specs.Hook{h}, state))
	}
	return errors.Join(failed...)
}

// destroy kills whatever is left of a container, a first process that its
// creator did not live to record included, and removes the cgroup.
func (rec *record) destroy(ctx context.Context, group *cgroup.Group) error {
	if group != nil && rec.mayBeAnothers() {
		if pids, err := group.Pids(); err != nil || len(pids) > 0 {
			return err
		}
	}
	if group != nil {
		if err := group.Kill(); err != nil {
			return err
		}
	}
	// It was moved out of its cgroup, or the group is gone.
	if err := killProcess(ctx, rec.Pid, rec.StartTime); err != nil {
		return err
	}
	if group == nil {
		return nil
	}
	return group.Delete()
}

// mayBeAnothers says that the creator died before it had a process, perhaps before it
// was told that the cgroup which the specification names is in use. What of ours is in
// there ends by itself.
func (rec *record) mayBeAnothers() bool {
	return rec.Pid == 0 && !strings.Contains(rec.Cgroup, rec.ID)
}

// killProcess kills a recorded process, if it still runs, and waits until it has
// given up its namespaces.
func killProcess(ctx context.Context, pid int, start uint64) error {
	pidfd, err := openProcess(pid, start)
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer pidfd.Close()
	if err := signalProcess(pidfd, unix.SIGKILL); err != nil && !errors.Is(err, runtime.ErrNotRunning) {
		return err
	}
	return awaitRelease(ctx, pid, pidfd)
}
