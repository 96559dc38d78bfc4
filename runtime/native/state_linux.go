package native

import (
	"context"
	"errors"
	"fmt"
	"os"

	"stack/runtime"
	"stack/runtime/native/cgroup"
)

// State implements runtime.Runtime.
func (r *Runtime) State(_ context.Context, id string) (runtime.State, error) {
	h, err := r.open(id)
	if err != nil {
		return runtime.State{}, err
	}
	defer h.Close()
	return h.state()
}

// List implements runtime.Runtime.
func (r *Runtime) List(ctx context.Context) ([]runtime.State, error) {
	return r.root.List(func(id string) (runtime.State, error) { return r.State(ctx, id) })
}

func (h *home) state() (runtime.State, error) {
	rec, err := h.read()
	if err != nil {
		return runtime.State{}, err
	}
	s := runtime.State{ID: h.ID, Bundle: h.Path}
	if rec == nil {
		s.Status = h.Unfinished()
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

// status asks the kernel: what the first process holds tells how far it is.
func (h *home) status(rec *record, group *cgroup.Group) (runtime.Status, error) {
	if rec.Pid == 0 {
		return h.Unfinished(), nil
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
