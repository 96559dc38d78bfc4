package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

func newDown(a *app) *cobra.Command {
	c := scheduler.Command{Verb: scheduler.VerbDown}
	var rmi string
	cmd := &cobra.Command{
		Use:   "down [SERVICE...]",
		Short: "Stop and remove containers and networks",
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Services = args
			s, err := a.store(cmd.Context())
			if err != nil {
				return err
			}
			images, err := a.imagesToGo(cmd.Context(), s, rmi, args)
			if err != nil {
				return err
			}
			c.Profiles = a.downProfiles(cmd.Context(), s)
			c.RemoveOrphans = c.RemoveOrphans || a.turnedOn("COMPOSE_REMOVE_ORPHANS")
			if a.dryRun {
				return a.foretellRecorded(cmd.Context(), s, c)
			}
			if err := runDown(cmd.Context(), a, s, c); err != nil {
				return err
			}
			return a.removeImages(cmd.Context(), images)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&c.Volumes, "volumes", "v", false, "also remove the project's named and anonymous volumes")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "also remove containers of services not in the file")
	f.StringVar(&rmi, "rmi", "", "also remove the images of services: all, or local, which have no name in the file")
	timeoutFlag(cmd, &c)
	return cmd
}

// downProfiles are the profiles that a down is about beside those of the last up:
// what the stack file's surroundings activate, all where there is no file.
func (a *app) downProfiles(ctx context.Context, s *scheduler.Store) []string {
	w, err := s.LoadWish()
	if err != nil || w.Stack == nil || len(w.Stack.DisabledServices) == 0 {
		return nil
	}
	if slices.Contains(a.files, "-") { // can be read once only
		return a.profiles
	}
	st, err := a.loadNames(ctx)
	if err != nil {
		return []string{"*"}
	}
	return st.Profiles
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
