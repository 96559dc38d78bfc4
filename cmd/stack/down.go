package main

import (
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
			if !s.Exists() && !(c.Volumes && s.HasVolumes()) { // they outlive a first down
				return nil
			}
			if err := a.do(cmd.Context(), s, c); err != nil {
				return err
			}
			return a.vacate(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&c.Volumes, "volumes", "v", false, "also remove the project's named and anonymous volumes")
	f.BoolVar(&c.RemoveOrphans, "remove-orphans", false, "also remove containers of services not in the file")
	f.String("rmi", "", "also remove images: all or local")
	timeoutFlag(cmd, &c)
	return cmd
}
