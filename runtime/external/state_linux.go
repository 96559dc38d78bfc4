package external

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// State implements runtime.Runtime.
func (r *Runtime) State(ctx context.Context, id string) (runtime.State, error) {
	h, err := r.open(id)
	if err != nil {
		return runtime.State{}, err
	}
	defer h.Close()
	return r.state(ctx, h)
}

// List implements runtime.Runtime.
func (r *Runtime) List(ctx context.Context) ([]runtime.State, error) {
	return r.root().List(func(id string) (runtime.State, error) { return r.State(ctx, id) })
}

func (r *Runtime) state(ctx context.Context, h *home) (runtime.State, error) {
	rec, err := h.read()
	if err != nil {
		return runtime.State{}, err
	}
	s := runtime.State{ID: h.ID, Bundle: h.Path}
	if rec == nil || rec.Pid == 0 {
		s.Status = h.Unfinished()
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

func (r *Runtime) status(ctx context.Context, h *home, rec *record) (runtime.Status, error) {
	if !r.alive(rec) {
		return runtime.Stopped, nil
	}
	if !h.Has(startedName) {
		if status, err := h.ask(ctx, program{rec.Program}); err != nil || status != runtime.Running {
			if err != nil && !r.alive(rec) {
				return runtime.Stopped, nil
			}
			return status, err
		}
	}
	if h.Has(pausedName) || r.Host.Frozen(rec.Cgroup) {
		return runtime.Paused, nil
	}
	return runtime.Running, nil
}

// ask runs the program's state.
func (h *home) ask(ctx context.Context, p program) (runtime.Status, error) {
	out, err := h.run(ctx, p, []string{"state", h.ID}, nil)
	if err != nil {
		return "", err
	}
	var s specs.State
	if err := json.Unmarshal(out, &s); err != nil {
		return "", fmt.Errorf("cannot read the state of container %s: %w", h.ID, err)
	}
	return runtime.Status(s.Status), nil
}
