package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

func newScale(a *app) *cobra.Command {
	c := &scheduler.Command{Verb: scheduler.VerbScale}
	cmd := &cobra.Command{
		Use:   "scale [OPTIONS] SERVICE=REPLICAS...",
		Short: "Set the number of replicas of services",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runScale(cmd.Context(), a, c, args)
		},
	}
	cmd.Flags().BoolVar(&c.NoDeps, "no-deps", false, "leave dependencies alone")
	return cmd
}

func runScale(ctx context.Context, a *app, c *scheduler.Command, args []string) error {
	scale, err := scaleArgs(args)
	if err != nil {
		return err
	}
	c.Scale, c.Services = scale, slices.Sorted(maps.Keys(scale))
	st, err := a.loadFor(ctx, c.Services...)
	if err != nil {
		return err
	}
	if c.Spec, err = spec.Encode(st); err != nil {
		return err
	}
	if a.dryRun {
		return a.foretell(ctx, st, *c)
	}
	if err := a.preflight(ctx, scaled(st, c.Scale), c.Services, *c); err != nil {
		return err
	}
	if err := a.ensureImages(ctx, st, c.Services, c.NoDeps, "", false, buildChoice{}); err != nil {
		return err
	}
	return a.do(ctx, a.storeOf(st.Name), *c)
}

func scaleArgs(args []string) (map[string]int, error) {
	scale := map[string]int{}
	for _, arg := range args {
		name, number, ok := strings.Cut(arg, "=")
		n, err := strconv.Atoi(number)
		if !ok || name == "" || err != nil || n < 0 {
			return nil, fmt.Errorf("cannot read %q: want SERVICE=REPLICAS", arg)
		}
		scale[name] = n
	}
	return scale, nil
}
