package external

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"stack/runtime"
)

// Options configure a Runtime.
type Options struct {
	// Root is the directory of the containers' records, made if absent (0700).
	Root string
	// Program is the OCI runtime for containers whose Bundle names none.
	Program string
	// Parent is the command line of package parent.
	Parent []string
	Host   Host
	// Log receives what has no caller to be returned to; nil discards it.
	Log *slog.Logger
}

// Runtime implements runtime.Runtime.
type Runtime struct{ Options }

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a runtime. It touches nothing until the first container.
func New(o Options) *Runtime {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Runtime{o}
}

// container is one with a complete record, open.
type container struct {
	*home
	*record
	program program
}

// container opens a container under a lock, or without one if how is 0. The caller
// closes it. One that is not complete is ErrNotRunning.
func (r *Runtime) container(ctx context.Context, id string, how int) (*container, error) {
	var h *home
	var err error
	if how == 0 {
		h, err = r.open(id)
	} else {
		h, err = r.lock(ctx, id, how)
	}
	if err != nil {
		return nil, err
	}
	rec, err := h.read()
	if err == nil && (rec == nil || rec.Pid == 0) {
		err = fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return &container{h, rec, program{rec.Program}}, nil
}

// live is container whose first process runs.
func (r *Runtime) live(ctx context.Context, id string, how int) (*container, error) {
	c, err := r.container(ctx, id, how)
	if err != nil {
		return nil, err
	}
	if !r.alive(c.record) {
		c.Close()
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	return c, nil
}

func (r *Runtime) alive(rec *record) bool {
	pidfd, err := r.Host.OpenProcess(rec.Pid, rec.StartTime)
	if err != nil {
		return false
	}
	pidfd.Close()
	return true
}

// act runs a command of c's program. Its failure is ErrNotRunning when the container
// has ended meanwhile.
func (r *Runtime) act(ctx context.Context, c *container, words []string, input []byte) error {
	_, err := c.run(ctx, c.program, words, input)
	if err != nil && ctx.Err() == nil && !r.alive(c.record) {
		return errors.Join(fmt.Errorf("%w: %s", runtime.ErrNotRunning, c.ID), err)
	}
	return err
}
