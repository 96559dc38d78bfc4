package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

// foretold are the verbs that --dry-run is for: what the planner plans.
func foretold() []string {
	return []string{"up", "create", "scale", "start", "stop", "restart", "down", "rollback"}
}

func canForetell(verb *cobra.Command) bool {
	return slices.Contains(foretold(), verb.Name()) && !(verb.HasParent() && verb.Parent().HasParent())
}

// foretell prints what a command would do.
func (a *app) foretell(ctx context.Context, st *spec.Stack, c scheduler.Command) error {
	_, err := a.showPlan(ctx, st, c, "table")
	return err
}

// foretellRecorded is foretell for a command that works from what is recorded.
func (a *app) foretellRecorded(ctx context.Context, s *scheduler.Store, c scheduler.Command) error {
	w, err := s.LoadWish()
	if err != nil || w.Stack == nil {
		return err
	}
	return a.foretell(ctx, w.Stack, c)
}
