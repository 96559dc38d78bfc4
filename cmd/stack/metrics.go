package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"stack/scheduler/api"
)

func newMetrics(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "Print the project's metrics as OpenMetrics text, for a scraper",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runMetrics(cmd.Context(), a)
		},
	}
}

func runMetrics(ctx context.Context, a *app) error {
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	err = api.NewClient(s.RunDir()).Metrics(ctx, a.stdout)
	if errors.Is(err, api.ErrGone) {
		return fmt.Errorf("nothing of project %q runs: there is nothing to measure", s.Project)
	}
	return err
}
