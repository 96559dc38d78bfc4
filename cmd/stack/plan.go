package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

// changesAhead is the exit code of plan when there is something to do.
const changesAhead = exitError(2)

type planOptions struct {
	upOptions
	format string
}

func newPlan(a *app) *cobra.Command {
	o := &planOptions{}
	c := &o.cmd
	c.Verb = scheduler.VerbUp
	cmd := &cobra.Command{
		Use:   "plan [SERVICE...]",
		Short: "Show what up would do, and why; exit 2 if that is anything",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Services = args
			return runPlan(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", "table or json")
	f.BoolVar(&c.NoDeps, "no-deps", false, "leave dependencies alone")
	f.BoolVar(&c.ForceRecreate, "force-recreate", false, "replace containers even if nothing changed")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "remove containers of services not in the file")
	strictFlag(f, c)
	f.StringArrayVar(&o.scale, "scale", nil, "SERVICE=NUM replicas")
	runtimeFlag(f, &o.runtime)
	return cmd
}

func runPlan(ctx context.Context, a *app, o *planOptions) error {
	st, err := a.loadFor(ctx, o.cmd.Services...)
	if err != nil {
		return err
	}
	useRuntime(st, o.runtime)
	if err := o.prepare(st); err != nil {
		return err
	}
	changes, err := a.showPlan(ctx, st, o.cmd, o.format)
	if err == nil && changes {
		return changesAhead
	}
	return err
}

// showPlan prints what a command would do and reports whether it is anything.
func (a *app) showPlan(ctx context.Context, st *spec.Stack, cmd scheduler.Command, format string) (bool, error) {
	if err := a.root(); err != nil {
		return false, err
	}
	images, err := a.openImages()
	if err != nil {
		return false, err
	}
	s := a.storeOf(st.Name)
	if services, err := involved(st, cmd.Services, cmd.NoDeps); err != nil {
		return false, err
	} else if found := s.Unmappable(st, services); cmd.Strict && len(found) > 0 {
		return false, found
	}
	p, err := s.Preview(ctx, images, st, cmd, time.Now())
	if err != nil {
		return false, err
	}
	if err := a.printPlan(p, format); err != nil {
		return false, err
	}
	if format == "table" {
		err = a.notes(s, cmd.Services)
	}
	return !p.Empty(), err
}

// printPlan prints a plan, and to standard error what of it needs a person's consent.
func (a *app) printPlan(p scheduler.Plan, format string) error {
	switch format {
	case "table":
		if p.Empty() {
			fmt.Fprintln(a.stderr, "nothing to do")
		}
		fmt.Fprint(a.stdout, plainLines(p.String())) // a probe's output may be in it
		for _, reason := range p.Consent {
			fmt.Fprintln(a.stderr, plain("! "+reason.String()))
		}
		return nil
	case "json":
		return json.NewEncoder(a.stdout).Encode(p)
	}
	return fmt.Errorf("unknown format %q: table or json", format)
}
