package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stack/netns"
	"stack/runtime"
	"stack/runtime/native"
	"stack/runtime/native/cgroup"
	"stack/scheduler"
)

type statsOptions struct {
	all, noStream, noTrunc bool
	format                 string
}

func newStats(a *app) *cobra.Command {
	o := &statsOptions{}
	cmd := &cobra.Command{
		Use:   "stats [SERVICE...]",
		Short: "Show what containers use of the machine",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStats(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "also containers that do not run")
	f.BoolVar(&o.noStream, "no-stream", false, "only once")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "full IDs")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	return cmd
}

// statsInterval is the time between two samples: what CPU % is an average over.
const statsInterval = time.Second

func runStats(ctx context.Context, a *app, o *statsOptions, services []string) error {
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	for _, name := range services {
		if !s.Declares(name) {
			return fmt.Errorf("no such service: %s", name)
		}
	}
	sampler := &statsSampler{store: s, runtime: native.New(native.Options{Root: s.Containers()}), services: services, all: o.all}
	before, err := sampler.sample(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, err := sampler.sample(ctx)
		if err != nil {
			return err
		}
		if err := o.show(a, before, now); err != nil || o.noStream {
			return err
		}
		before = now
	}
}

// clearScreen puts the cursor at the top and clears what is below.
const clearScreen = "\x1b[H\x1b[J"

func (o *statsOptions) show(a *app, before, now []usage) error {
	if !o.noStream && o.format == "table" && isTerminal(a.stdout) && a.ansi != "never" {
		fmt.Fprint(a.stdout, clearScreen)
	}
	rows := []statsRow{}
	for _, u := range now {
		rows = append(rows, o.row(u, before))
	}
	return printRows(a.stdout, o.format, rows, column{"CONTAINER ID", "ID"}, column{"NAME", "Name"}, column{"CPU %", "CPUPerc"},
		column{"MEM USAGE / LIMIT", "MemUsage"}, column{"MEM %", "MemPerc"}, column{"NET I/O", "NetIO"},
		column{"BLOCK I/O", "BlockIO"}, column{"PIDS", "PIDs"})
}

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
	runtime  *native.Runtime
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
