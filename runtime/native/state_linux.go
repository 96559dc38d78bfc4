package native

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/cgroup"
)

// State implements runtime.Runtime.
func (r *Runtime) State(_ context.Context, id string) (runtime.State, error) {
	h, err := r.open(id)
	if err != nil {
		return runtime.State{}, err
	}
	defer h.close()
	return h.state()
}

// List implements runtime.Runtime. A container that vanishes meanwhile is not in
// the list; one whose record cannot be read is an error beside the others.
func (r *Runtime) List(ctx context.Context) ([]runtime.State, error) {
	entries, err := os.ReadDir(r.root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	var list []runtime.State
	var failed []error
	for _, e := range entries {
		if !e.IsDir() || validateID(e.Name()) != nil {
			continue
		}
		s, err := r.State(ctx, e.Name())
		switch {
		case errors.Is(err, runtime.ErrNotFound):
		case err != nil:
			failed = append(failed, err)
		default:
			list = append(list, s)
		}
	}
	return list, errors.Join(failed...)
}

func (h *home) state() (runtime.State, error) {
	rec, err := h.read()
	if err != nil {
		return runtime.State{}, err
	}
	s := runtime.State{ID: h.id, Bundle: h.path}
	if rec == nil {
		s.Status = h.unfinished()
		return s, nil
	}
	s.Created, s.Annotations, s.UserNS = rec.Created, rec.Annotations, rec.UserNS
	if rec.Bundle != "" {
		s.Bundle = rec.Bundle
	}
	group, err := rec.group()
	if err != nil {
		return s, err
	}
	if s.Status, err = h.status(rec, group); err != nil {
		return s, err
	}
	if s.Status != runtime.Stopped {
		s.Pid, s.StartTime = rec.Pid, rec.StartTime
	}
	if group != nil {
		// The group may be on its way out: then nothing is known.
		s.OOMKilled, _ = group.OOMKills()
	}
	return s, nil
}

// unfinished is the status of a container without a recorded process: creating
// while its creator holds the lock, dead after.
func (h *home) unfinished() runtime.Status {
	if err := unix.Flock(int(h.dir.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return runtime.Creating
	}
	unix.Flock(int(h.dir.Fd()), unix.LOCK_UN)
	return runtime.Stopped
}

// status asks the kernel: what the first process holds tells how far it is.
func (h *home) status(rec *record, group *cgroup.Group) (runtime.Status, error) {
	if rec.Pid == 0 {
		return h.unfinished(), nil
	}
	waiting := holds(rec.Pid, listenFD+rec.ExtraFiles, rec.Listener)
	creating := waiting && holds(rec.Pid, controlFD+rec.ExtraFiles, rec.Control)
	// Last, so that what was seen before was seen of this process.
	ok, err := alive(rec.Pid, rec.StartTime)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return runtime.Stopped, nil
	case creating:
		return runtime.Creating, nil
	case waiting:
		return runtime.StatusCreated, nil
	}
	if group != nil {
		if frozen, err := group.Frozen(); err == nil && frozen {
			return runtime.Paused, nil
		}
	}
	return runtime.Running, nil
}

// holds says whether a process has a socket as descriptor fd.
func holds(pid, fd int, inode uint64) bool {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	return err == nil && link == fmt.Sprintf("socket:[%d]", inode)
}

// group is the container's cgroup, nil when it is gone.
func (rec *record) group() (*cgroup.Group, error) {
	g, err := cgroup.Load(rec.Cgroup)
	if errors.Is(err, cgroup.ErrNotFound) {
		return nil, nil
	}
	return g, err
}
