package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"stack/runtime/image"
	"stack/scheduler"
	"stack/spec"
)

// buildChoice is what a command says of images that can be built.
type buildChoice struct{ always, never, quiet bool }

// flags adds --build and its relatives to a command that starts containers.
func (b *buildChoice) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&b.always, "build", false, "build images first")
	f.BoolVar(&b.never, "no-build", false, "do not build images, even if missing")
	f.BoolVar(&b.quiet, "quiet-build", false, "no build output")
	cmd.MarkFlagsMutuallyExclusive("build", "no-build")
}

// buildDue builds the images of services that are to be built or are not here.
func (a *app) buildDue(ctx context.Context, st *spec.Stack, services []string, policy string, b buildChoice) error {
	services = buildable(st, services)
	if len(services) == 0 {
		return nil
	}
	if err := requireRoot(); err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	all, err := store.List()
	if err != nil {
		return err
	}
	var due []string
	var errs []error
	for _, name := range services {
		svc := st.Services[name]
		ref := scheduler.ImageName(st.Name, svc)
		_, here := image.FindFor(all, ref, svc.Platform)
		switch {
		case b.never && !here:
			errs = append(errs, fmt.Errorf("service %q: image %s is not on this machine, and is not to be built", name, ref))
		case b.never:
		case b.always, !here, svc.PullPolicy == types.PullPolicyBuild && policy != "never":
			due = append(due, name)
		}
	}
	if err := errors.Join(errs...); err != nil || len(due) == 0 {
		return err
	}
	return a.build(ctx, st, due, scheduler.BuildOptions{Native: true}, b.quiet)
}
