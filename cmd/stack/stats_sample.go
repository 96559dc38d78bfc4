package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/native/cgroup"
	"stack/scheduler"
)

// usage is one sample of one container.
type usage struct {
	id, name string
	running  bool
	runtime.Stats
	received, sent uint64
}

// statsSampler reads control groups and network counters; it needs no controller.
type statsSampler struct {
	store    *scheduler.Store
	runtime  *runtimes
	services []string
	all      bool
}

// sample reads every chosen container once. One that ends meanwhile is shown as
// not running, or not at all.
func (s *statsSampler) sample(ctx context.Context) ([]usage, error) {
	list, err := s.store.Current(time.Now())
	if err != nil {
		return nil, err
	}
	var out []usage
	for _, i := range list {
		status := i.Status()
		running := status == "running" || status == "paused"
		if len(s.services) > 0 && !slices.Contains(s.services, i.Service) || !running && !s.all {
			continue
		}
		u := usage{id: i.ID, name: i.Name}
		if running {
			err = s.measure(ctx, &u)
		}
		switch {
		case errors.Is(err, runtime.ErrNotFound), errors.Is(err, runtime.ErrNotRunning), errors.Is(err, cgroup.ErrNotFound):
			if !s.all {
				continue
			}
		case err != nil:
			return nil, fmt.Errorf("cannot measure container %s: %w", i.Name, err)
		}
		out = append(out, u)
	}
	return out, nil
}

func (s *statsSampler) measure(ctx context.Context, u *usage) error {
	st, err := s.runtime.Stats(ctx, u.id)
	if err != nil {
		return err
	}
	before, err := s.runtime.State(ctx, u.id)
	if err != nil {
		return err
	}
	u.received, u.sent, err = netns.Traffic(before.Pid)
	after, err2 := s.runtime.State(ctx, u.id)
	if err2 != nil || after.Pid != before.Pid || after.StartTime != before.StartTime {
		return runtime.ErrNotRunning // and the pid may be another's by now
	}
	if err == nil {
		u.Stats, u.running = st, true
	}
	return err
}
