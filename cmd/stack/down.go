package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

func newDown(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbDown}
	cmd := &cobra.Command{
		Use:   "down [SERVICE...]",
		Short: "Stop and remove containers and networks",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Services = args
			s, err := a.store(cmd.Context())
			if err != nil {
				return err
			}
			return runDown(cmd.Context(), a, s, c)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&c.Volumes, "volumes", "v", false, "also remove the project's named and anonymous volumes")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "also remove containers of services not in the file")
	f.String("rmi", "", "also remove images: all or local")
	timeoutFlag(cmd, &c)
	return cmd
}

// runDown tidies up behind the shim once nothing of the project is left, also when
// a hook failed on the way.
func runDown(ctx context.Context, a *app, s *scheduler.Store, c scheduler.Command) error {
	var err error
	if s.Exists() || c.Volumes && s.HasVolumes() { // volumes outlive a first down
		err = a.do(ctx, s, c)
	}
	if s.Exists() {
		return err
	}
	return errors.Join(err, a.vacate(ctx, s))
}
