package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/scheduler/api"
)

type watchOptions struct {
	services []string
	noUp     bool
}

func newWatch(a *app) *cobra.Command {
	o := &watchOptions{}
	cmd := &cobra.Command{
		Use:   "watch [SERVICE...]",
		Short: "Bring changed files into running services, as develop.watch says",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.services = args
			return runWatch(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.noUp, "no-up", false, "do not create and start services first")
	f.Bool("prune", true, "accepted for compatibility")
	f.Bool("quiet", false, "accepted for compatibility")
	f.MarkHidden("prune")
	f.MarkHidden("quiet")
	return cmd
}

func runWatch(ctx context.Context, a *app, o *watchOptions) error {
	if !o.noUp {
		up := &upOptions{cmd: scheduler.Command{Verb: scheduler.VerbUp, Services: o.services}, detach: true, watch: true, pull: "policy"}
		if err := runUp(ctx, a, up); err != nil {
			return err
		}
	}
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	if !s.Exists() {
		return fmt.Errorf("project %q is not up", s.Project)
	}
	return a.watch(ctx, s, o.services, func(line string) { fmt.Fprintln(a.stdout, line) })
}

// watch has the controller follow the services' files until ctx ends or the project
// is down. One that dies is replaced, and told since when there may be changes.
func (a *app) watch(ctx context.Context, s *scheduler.Store, services []string, say func(string)) error {
	cmd := scheduler.Command{Verb: scheduler.VerbWatch, Services: services}
	began := time.Now()
	for {
		err := a.send(ctx, s, cmd, func(r scheduler.Reply) {
			if r.Reload != nil && !(r.Reload.Enabled && !cmd.Since.IsZero()) {
				say(r.Reload.String())
			}
		})
		switch {
		case ctx.Err() != nil:
			return nil // that is how a watch ends
		case !errors.Is(err, api.ErrLost):
			return err
		}
		cmd.Since = began
	}
}
