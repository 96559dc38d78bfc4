package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type containerRmOptions struct{ force, volumes bool }

func newContainerRm(a *app) *cobra.Command {
	o := &containerRmOptions{}
	cmd := &cobra.Command{
		Use:     "rm CONTAINER...",
		Aliases: []string{"remove"},
		Short:   "Remove containers",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runContainerRm(cmd.Context(), a, o, names)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.force, "force", "f", false, "kill those that run; ignore those that are not there")
	f.BoolVarP(&o.volumes, "volumes", "v", false, "with their anonymous volumes")
	return cmd
}

func runContainerRm(ctx context.Context, a *app, o *containerRmOptions, names []string) error {
	cmd := scheduler.Command{Verb: scheduler.VerbRemove, Force: o.force, Volumes: o.volumes}
	if o.force {
		cmd.Timeout = new(time.Duration(0)) // killed, not asked
	}
	return a.eachContainer(ctx, names, cmd, func(c scheduler.Container, err error) error {
		switch {
		case errors.Is(err, scheduler.ErrNoContainer) && o.force:
			return errSkip
		case err != nil:
			return err
		}
		if s := c.Status(); !o.force && s != "exited" && s != "created" {
			return fmt.Errorf("cannot remove container %s: it is %s: stop it first, or use --force", c.Name, s)
		}
		return nil
	})
}

// errSkip passes over a container without an error.
var errSkip = errors.New("skip")

// eachContainer sends a command about containers to their projects' controllers, a
// project at a time, and prints the names for which it succeeded. check sees each
// look-up first.
func (a *app) eachContainer(ctx context.Context, names []string, cmd scheduler.Command, check func(scheduler.Container, error) error) error {
	all, err := a.containers()
	if err != nil {
		return err
	}
	var errs []error
	var projects []*scheduler.Store
	ids, said := map[string][]string{}, map[string][]string{}
	for _, name := range names {
		c, err := scheduler.FindContainer(all, name)
		if err = check(c, err); err != nil {
			if !errors.Is(err, errSkip) {
				errs = append(errs, err)
			}
			continue
		}
		if ids[c.Store.Project] == nil {
			projects = append(projects, c.Store)
		}
		ids[c.Store.Project] = append(ids[c.Store.Project], c.ID)
		said[c.Store.Project] = append(said[c.Store.Project], name)
	}
	for _, s := range projects {
		cmd.Containers = ids[s.Project]
		if err := a.doQuiet(ctx, s, cmd); err != nil {
			errs = append(errs, err)
			continue
		}
		for _, name := range said[s.Project] {
			fmt.Fprintln(a.stdout, name)
		}
	}
	return errors.Join(errs...)
}
