package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"stack/runtime/build"
)

// newBuilder groups the verbs about the cache of builds.
func newBuilder(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "builder", Short: "The cache of builds: remove from it"}
	cmd.AddCommand(newBuilderPrune(a))
	return cmd
}

type builderPruneOptions struct {
	all, force bool
	filters    []string
	keep       string
}

func newBuilderPrune(a *app) *cobra.Command {
	o := &builderPruneOptions{}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what no image and no build needs any more",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBuilderPrune(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "also what only makes further builds faster")
	f.BoolVarP(&o.force, "force", "f", false, "do not ask")
	f.StringArrayVar(&o.filters, "filter", nil, "until=24h: only what was not used for so long")
	f.StringVar(&o.keep, "keep-storage", "", "how much to leave, as 10GB")
	return cmd
}

func runBuilderPrune(ctx context.Context, a *app, o *builderPruneOptions) error {
	p, err := o.prune()
	if err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	if !o.force && !a.confirm("This will remove build cache that nothing uses: further builds take longer.") {
		return nil
	}
	n, err := a.builder(true).Prune(ctx, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Total reclaimed space: %s\n", units.HumanSize(float64(n)))
	return nil
}

func (o *builderPruneOptions) prune() (build.Prune, error) {
	p := build.Prune{All: o.all}
	for _, f := range o.filters {
		age, ok := strings.CutPrefix(f, "until=")
		d, err := time.ParseDuration(age)
		if !ok || err != nil {
			return p, fmt.Errorf("cannot read filter %q: want until=24h", f)
		}
		p.Unused = d
	}
	if o.keep != "" {
		n, err := units.RAMInBytes(o.keep)
		if err != nil {
			return p, fmt.Errorf("cannot read --keep-storage %q: %w", o.keep, err)
		}
		p.KeepBytes = n
	}
	return p, nil
}
