package native

import (
	"context"

	"golang.org/x/sys/unix"
)

// Ended is closed when a container's first process has ended or ctx has.
// Errors: ErrNotFound, ErrNotRunning.
func (r *Runtime) Ended(ctx context.Context, id string) (<-chan struct{}, error) {
	l, err := r.reading(id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	pidfd, err := openProcess(l.Pid, l.StartTime)
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer pidfd.Close()
		_ = awaitEnd(ctx, pidfd)
	}()
	return ended, nil
}

// OOMEvents sends after each time a container ran out of memory, until ctx ends;
// see cgroup.Group.OOMEvents.
func (r *Runtime) OOMEvents(ctx context.Context, id string) (<-chan struct{}, error) {
	l, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.group.OOMEvents(ctx)
}
