package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"stack/runtime/image"
	"stack/spec"
)

type pullOptions struct {
	ignoreBuildable, ignoreFailures, deps, quiet bool
	policy                                       string
}

func newPull(a *app) *cobra.Command {
	o := &pullOptions{}
	cmd := &cobra.Command{
		Use:   "pull [SERVICE...]",
		Short: "Pull the images of services",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPull(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.ignoreBuildable, "ignore-buildable", false, "leave out images that can be built")
	f.BoolVar(&o.ignoreFailures, "ignore-pull-failures", false, "pull what can be pulled and succeed")
	f.BoolVar(&o.deps, "include-deps", false, "also what the services depend on")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
	f.StringVar(&o.policy, "policy", "", "missing or always")
	f.Bool("parallel", true, "accepted for compatibility: it always is")
	f.Bool("no-parallel", false, "accepted for compatibility")
	f.MarkHidden("parallel")
	f.MarkHidden("no-parallel")
	return cmd
}

func runPull(ctx context.Context, a *app, o *pullOptions, services []string) error {
	if o.policy != "" && o.policy != types.PullPolicyMissing && o.policy != types.PullPolicyAlways {
		return fmt.Errorf("cannot read --policy %q: want missing or always", o.policy)
	}
	st, err := a.loadFor(ctx, services...)
	if err != nil {
		return err
	}
	if services, err = involved(st, services, !o.deps); err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	due, err := o.choose(a, st, store, services)
	if err != nil || len(due) == 0 {
		return err
	}
	err = a.pullImages(ctx, store, due, o.quiet)
	if o.ignoreFailures && ctx.Err() == nil {
		return nil
	}
	return err
}

// choose tells which images are skipped and returns the others, each once.
func (o *pullOptions) choose(a *app, st *spec.Stack, store *image.Store, services []string) ([]wantedImage, error) {
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	t := newImageTransfer(a, o.quiet)
	var due []wantedImage
	var errs []error
	for _, name := range services {
		svc := st.Services[name]
		if svc.PullPolicy == "" {
			svc.PullPolicy = types.PullPolicyAlways // an explicit pull always pulls
		}
		wanted, err := wantedImages(svc, o.policy)
		if err != nil {
			errs = append(errs, err)
		}
		if svc.Image == "" {
			t.say(name, "Skipped", "No image to be pulled")
		}
		for _, w := range wanted {
			_, ok := image.FindFor(all, w.ref, w.platform)
			known := slices.ContainsFunc(due, func(d wantedImage) bool { return d.ref == w.ref && d.platform == w.platform })
			if why := w.skipped(ok, o.ignoreBuildable); why != "" {
				t.say(w.ref, "Skipped", why)
			} else if !known {
				due = append(due, w)
			}
		}
	}
	return due, errors.Join(errs...)
}
