package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

func newContainerLogs(a *app) *cobra.Command {
	o := &logsOptions{}
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] CONTAINER",
		Short: "Show a container's log",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runContainerLogs(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "wait for more until the container ends")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "show times")
	f.StringVarP(&o.tail, "tail", "n", "all", "number of last lines")
	f.StringVar(&o.since, "since", "", "from this time (RFC 3339) or age (10m) on")
	f.StringVar(&o.until, "until", "", "up to this time or age")
	return cmd
}

func runContainerLogs(ctx context.Context, a *app, o *logsOptions, name string) error {
	c, err := a.findOne(name)
	if err != nil {
		return err
	}
	read, err := o.read(time.Now())
	if err != nil {
		return err
	}
	view, err := newLogView(a, c.Store)
	if err != nil {
		return err
	}
	defer view.close()
	view.prefix, view.timestamps = false, o.timestamps
	if !o.follow || !live(c.Instance) {
		return view.merge(ctx, []*scheduler.Instance{c.Instance}, read)
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	changes, err := watchInstances(watch, c.Store)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	read.Done = ended
	view.follow(ctx, c.Instance, read, stop)
	for list := range changes {
		if !runsStill(list, c.ID) {
			break
		}
	}
	close(ended) // what it wrote is in the log by then
	view.wg.Wait()
	return ctx.Err()
}

func runsStill(list []*scheduler.Instance, id string) bool {
	for _, i := range list {
		if i.ID == id {
			return live(i) || i.Status() == "restarting"
		}
	}
	return false
}
