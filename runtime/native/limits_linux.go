package native

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Pause implements runtime.Runtime.
func (r *Runtime) Pause(ctx context.Context, id string) error {
	l, err := r.live(ctx, id, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.group.Freeze()
}

// Resume implements runtime.Runtime.
func (r *Runtime) Resume(ctx context.Context, id string) error {
	l, err := r.live(ctx, id, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.group.Thaw()
}

// Update implements runtime.Runtime.
func (r *Runtime) Update(ctx context.Context, id string, limits *specs.LinuxResources) error {
	l, err := r.live(ctx, id, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.group.Update(withDefaultDevices(limits))
}

// Stats implements runtime.Runtime.
func (r *Runtime) Stats(ctx context.Context, id string) (runtime.Stats, error) {
	l, err := r.reading(id)
	if err != nil {
		return runtime.Stats{}, err
	}
	defer l.Close()
	if r.stats == nil {
		return runtime.Stats{}, errors.New("this program was built without statistics")
	}
	s, err := r.stats(l.group.Paths())
	if err != nil {
		return runtime.Stats{}, fmt.Errorf("cannot read statistics of container %s: %w", id, err)
	}
	s.OOMKills, err = l.group.OOMKills()
	return s, err
}

// Pids implements runtime.Runtime.
func (r *Runtime) Pids(ctx context.Context, id string) ([]int, error) {
	l, err := r.reading(id)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.group.Pids()
}

// reading is live without a lock, for what only reads.
func (r *Runtime) reading(id string) (*live, error) {
	h, err := r.open(id)
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
