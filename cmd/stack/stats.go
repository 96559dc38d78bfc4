package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/native"
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
	s, err := a.storeWith(ctx, services)
	if err != nil {
		return err
	}
	sampler := &statsSampler{store: s, runtime: a.runtimes(s, native.Options{}), services: services, all: o.all}
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
