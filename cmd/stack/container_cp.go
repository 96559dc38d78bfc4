package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

func newContainerCp(a *app) *cobra.Command {
	o := &cpOptions{}
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n  stack container cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
		Short: "Copy files between a container and this machine",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runContainerCp(cmd.Context(), a, o, args[0], args[1])
		},
	}
	cmd.Flags().BoolVarP(&o.archive, "archive", "a", false, "keep user and group ids")
	cmd.Flags().BoolVarP(&o.follow, "follow-link", "L", false, "copy what a link at SRC_PATH leads to")
	return cmd
}

func runContainerCp(ctx context.Context, a *app, o *cpOptions, from, to string) error {
	fromName, fromPath, out := splitPath(from)
	toName, toPath, in := splitPath(to)
	if out == in || out && fromPath == "" || in && toPath == "" {
		return errors.New("want CONTAINER:PATH for one of the two paths")
	}
	c, err := a.findOne(fromName + toName)
	if err != nil {
		return err
	}
	work := &copying{a: a, cpOptions: o, store: c.Store}
	if out {
		return work.out(ctx, c.Instance, fromPath, to)
	}
	return work.in(ctx, []*scheduler.Instance{c.Instance}, from, toPath)
}
