package external

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/statedir"
)

// Choice is a runtime of two: a Bundle that names an OCI runtime goes to Others, any
// other to Native, and a container stays with the one that made it.
type Choice struct {
	Native runtime.Runtime
	Others *Runtime
}

var _ runtime.Runtime = (*Choice)(nil)

// Foreign says whether a container is one of Others.
func (c *Choice) Foreign(id string) bool {
	if statedir.CheckID(id) != nil {
		return false
	}
	_, err := os.Lstat(c.Others.root().Path(id))
	return err == nil
}

func (c *Choice) of(id string) runtime.Runtime {
	if c.Foreign(id) {
		return c.Others
	}
	return c.Native
}

// Create implements runtime.Runtime, as all below.
func (c *Choice) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	if Native(b.Runtime) {
		return c.Native.Create(ctx, b)
	}
	return c.Others.Create(ctx, b)
}

func (c *Choice) Start(ctx context.Context, id string) error { return c.of(id).Start(ctx, id) }

func (c *Choice) Kill(ctx context.Context, id string, sig syscall.Signal, all bool) error {
	return c.of(id).Kill(ctx, id, sig, all)
}

func (c *Choice) Delete(ctx context.Context, id string, force bool) error {
	return c.of(id).Delete(ctx, id, force)
}

func (c *Choice) State(ctx context.Context, id string) (runtime.State, error) {
	return c.of(id).State(ctx, id)
}

func (c *Choice) List(ctx context.Context) ([]runtime.State, error) {
	own, err := c.Native.List(ctx)
	others, err2 := c.Others.List(ctx)
	return append(own, others...), errors.Join(err, err2)
}

func (c *Choice) Exec(ctx context.Context, id string, e runtime.Exec) (runtime.Process, error) {
	return c.of(id).Exec(ctx, id, e)
}

func (c *Choice) Pause(ctx context.Context, id string) error  { return c.of(id).Pause(ctx, id) }
func (c *Choice) Resume(ctx context.Context, id string) error { return c.of(id).Resume(ctx, id) }

func (c *Choice) Update(ctx context.Context, id string, r *specs.LinuxResources) error {
	return c.of(id).Update(ctx, id, r)
}

func (c *Choice) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	return c.of(id).Stats(ctx, id)
}

func (c *Choice) Pids(ctx context.Context, id string) ([]int, error) { return c.of(id).Pids(ctx, id) }

// OOMEvents is the method of that name of the container's runtime.
func (c *Choice) OOMEvents(ctx context.Context, id string) (<-chan struct{}, error) {
	w, ok := c.of(id).(interface {
		OOMEvents(ctx context.Context, id string) (<-chan struct{}, error)
	})
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return w.OOMEvents(ctx, id)
}
