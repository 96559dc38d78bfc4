package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

func newRollback(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbRollback}
	cmd := &cobra.Command{
		Use:   "rollback [SERVICE...]",
		Short: "Take services back to an earlier revision; without a name, what the last up changed",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Services = args
			return runRollback(cmd.Context(), a, c)
		},
	}
	cmd.Flags().IntVar(&c.Revision, "to", 0, "this revision of the service, see stack revisions")
	timeoutFlag(cmd, &c)
	return cmd
}

func runRollback(ctx context.Context, a *app, c scheduler.Command) error {
	if err := a.root(); err != nil {
		return err
	}
	s, err := a.storeWith(ctx, c.Services)
	if err != nil {
		return err
	}
	if a.dryRun {
		p, err := s.PreviewRollback(c, time.Now())
		if err != nil {
			return err
		}
		return a.printPlan(p, "table")
	}
	histories, err := s.Histories()
	if err != nil {
		return err
	}
	to, err := scheduler.Returns(histories, c) // before anything is started for it
	if err != nil {
		return err
	}
	if err := a.do(ctx, s, c); err != nil {
		return err
	}
	for name, number := range to {
		fmt.Fprintf(a.stderr, "service %s is at revision %d until its next up; the stack file is as it was\n", name, number)
	}
	return nil
}
