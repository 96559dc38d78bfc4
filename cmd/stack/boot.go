package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

// newBoot is the hidden verb of the unit that enable makes. It works from what is
// recorded alone, whatever the stack file says by now.
func newBoot(a *app) *cobra.Command {
	halt := false
	cmd := &cobra.Command{
		Use: "boot", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBoot(cmd.Context(), a, halt) },
	}
	cmd.Flags().BoolVar(&halt, "halt", false, "stop what runs, to be brought back")
	return cmd
}

func runBoot(ctx context.Context, a *app, halt bool) error {
	if err := a.root(); err != nil {
		return err
	}
	if a.project == "" {
		return errors.New("boot needs --project-name")
	}
	s := a.storeOf(a.project)
	w, err := s.LoadWish()
	if err != nil {
		return err
	}
	if w.Stack == nil || w.Down {
		fmt.Fprintf(a.stderr, "project %q is down\n", a.project)
		return nil
	}
	if halt {
		if list, err := s.Current(time.Now()); err != nil || !slices.ContainsFunc(list, live) {
			return err // no controller is started for nothing
		}
		return a.do(ctx, s, scheduler.Command{Verb: scheduler.VerbHalt})
	}
	if err := bootable(s); err != nil {
		return fmt.Errorf("cannot boot project %q: %w", a.project, err)
	}
	return a.do(ctx, s, scheduler.Command{Verb: scheduler.VerbBoot})
}
