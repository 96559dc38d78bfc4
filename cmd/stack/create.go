package main

import (
	"context"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

type createOptions struct {
	cmd   scheduler.Command
	scale []string

	pull      string
	quietPull bool
	runtime   string
	yes       bool
	build     buildChoice
}

func newCreate(a *app) *cobra.Command {
	o := &createOptions{cmd: scheduler.Command{Verb: scheduler.VerbCreate}}
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [SERVICE...]",
		Short: "Create containers without starting them",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.cmd.Services = args
			return runCreate(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	c := &o.cmd
	f.BoolVar(&c.ForceRecreate, "force-recreate", false, "replace containers even if nothing changed")
	f.BoolVar(&c.NoRecreate, "no-recreate", false, "keep containers even if something changed")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "remove containers of services not in the file")
	strictFlag(f, c)
	f.StringArrayVar(&o.scale, "scale", nil, "SERVICE=NUM replicas")
	runtimeFlag(f, &o.runtime)
	o.build.flags(cmd)
	f.StringVar(&o.pull, "pull", "policy", "always, missing, never, policy")
	f.BoolVar(&o.quietPull, "quiet-pull", false, "no pull progress")
	f.BoolVarP(&o.yes, "yes", "y", false, "answer questions with yes")
	cmd.MarkFlagsMutuallyExclusive("force-recreate", "no-recreate")
	return cmd
}

func runCreate(ctx context.Context, a *app, o *createOptions) error {
	st, err := a.loadFor(ctx, o.cmd.Services...)
	if err != nil {
		return err
	}
	useRuntime(st, o.runtime)
	if o.cmd.Spec, err = spec.Encode(st); err != nil {
		return err
	}
	if o.cmd.Scale, err = parseScale(o.scale); err != nil {
		return err
	}
	orphans(st, &o.cmd)
	if a.dryRun {
		return a.foretell(ctx, st, o.cmd)
	}
	if err := a.preflight(ctx, scaled(st, o.cmd.Scale), o.cmd.Services, o.cmd); err != nil {
		return err
	}
	if err := a.ensureImages(ctx, st, o.cmd.Services, o.cmd.NoDeps, o.pull, o.quietPull, o.build); err != nil {
		return err
	}
	if err := a.askOfVolumes(st, &o.cmd, o.yes); err != nil {
		return err
	}
	return a.do(ctx, a.storeOf(st.Name), o.cmd)
}
