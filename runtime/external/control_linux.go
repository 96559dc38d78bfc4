package external

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Kill implements runtime.Runtime.
func (r *Runtime) Kill(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	c, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer c.Close()
	return r.act(ctx, c, c.program.kill(id, sig, all), nil)
}

// Pause implements runtime.Runtime.
func (r *Runtime) Pause(ctx context.Context, id string) error {
	c, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := r.act(ctx, c, []string{"pause", id}, nil); err != nil {
		return err
	}
	return c.mark(pausedName)
}

// Resume implements runtime.Runtime.
func (r *Runtime) Resume(ctx context.Context, id string) error {
	c, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := r.act(ctx, c, []string{"resume", id}, nil); err != nil {
		return err
	}
	if err := os.Remove(c.Name(pausedName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot record that container %s goes on: %w", id, err)
	}
	return nil
}

// Update implements runtime.Runtime.
func (r *Runtime) Update(ctx context.Context, id string, limits *specs.LinuxResources) error {
	c, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := json.Marshal(limits)
	if err != nil {
		return fmt.Errorf("cannot encode limits: %w", err)
	}
	return r.act(ctx, c, []string{"update", "--resources", "-", id}, b)
}

// Stats implements runtime.Runtime.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	c, err := r.live(ctx, id, 0)
	if err != nil {
		return runtime.Stats{}, err
	}
	defer c.Close()
	return r.Host.Stats(c.Cgroup)
}

// Pids implements runtime.Runtime.
func (r *Runtime) Pids(ctx context.Context, id string) ([]int, error) {
	c, err := r.live(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return r.Host.Processes(c.Cgroup)
}

// OOMEvents is the native runtime's method of that name.
func (r *Runtime) OOMEvents(ctx context.Context, id string) (<-chan struct{}, error) {
	c, err := r.live(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return r.Host.OOMEvents(ctx, c.Cgroup)
}
