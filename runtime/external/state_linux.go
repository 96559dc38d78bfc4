package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// State implements runtime.Runtime.
func (r *Runtime) State(ctx context.Context, id string) (runtime.State, error) {
	h, err := r.open(id)
	if err != nil {
		return runtime.State{}, err
	}
	defer h.close()
	return r.state(ctx, h)
}

// List implements runtime.Runtime. A container that vanishes meanwhile is not in the
// list; one whose record cannot be read is an error beside the others.
func (r *Runtime) List(ctx context.Context) ([]runtime.State, error) {
	entries, err := os.ReadDir(r.Root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	var list []runtime.State
	var failed []error
	for _, e := range entries {
		if !e.IsDir() || checkID(e.Name()) != nil {
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

func (r *Runtime) state(ctx context.Context, h *home) (runtime.State, error) {
	rec, err := h.read()
	if err != nil {
		return runtime.State{}, err
	}
	s := runtime.State{ID: h.id, Bundle: h.path}
	if rec == nil || rec.Pid == 0 {
		s.Status = h.unfinished()
		return s, nil
	}
	s.Created, s.Annotations, s.UserNS = rec.Created, rec.Annotations, rec.UserNS
	if rec.Bundle != "" {
		s.Bundle = rec.Bundle
	}
	if s.Status, err = r.status(ctx, h, rec); err != nil {
		return s, err
	}
	if s.Status != runtime.Stopped {
		s.Pid, s.StartTime = rec.Pid, rec.StartTime
	}
	s.OOMKilled = r.Host.OOMKills(rec.Cgroup)
	return s, nil
}

// unfinished is the status of a container without a recorded process: creating while
// its creator holds the lock, dead after.
func (h *home) unfinished() runtime.Status {
	if err := unix.Flock(int(h.dir.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return runtime.Creating
	}
	unix.Flock(int(h.dir.Fd()), unix.LOCK_UN)
	return runtime.Stopped
}

func (r *Runtime) status(ctx context.Context, h *home, rec *record) (runtime.Status, error) {
	if !r.alive(rec) {
		return runtime.Stopped, nil
	}
	if !h.has(startedName) {
		if status, err := h.ask(ctx, program{rec.Program}); err != nil || status != runtime.Running {
			if err != nil && !r.alive(rec) {
				return runtime.Stopped, nil
			}
			return status, err
		}
	}
	if h.has(pausedName) || r.Host.Frozen(rec.Cgroup) {
		return runtime.Paused, nil
	}
	return runtime.Running, nil
}

// ask runs the program's state.
func (h *home) ask(ctx context.Context, p program) (runtime.Status, error) {
	out, err := h.run(ctx, p, []string{"state", h.id}, nil)
	if err != nil {
		return "", err
	}
	var s specs.State
	if err := json.Unmarshal(out, &s); err != nil {
		return "", fmt.Errorf("cannot read the state of container %s: %w", h.id, err)
	}
	return runtime.Status(s.Status), nil
}
