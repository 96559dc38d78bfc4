package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

// removal is a verb that removes the machine's objects by name.
type removal struct {
	use, short string
	force      string // what --force does
	absent     error  // matches a name that leads nowhere, which --force ignores
	// open gives what removes one object and prints its name.
	open func(ctx context.Context, force bool) (func(name string) error, error)
}

// removeVerb makes it a command, which goes on after a failure.
func removeVerb(r removal) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     r.use,
		Aliases: []string{"remove"},
		Short:   r.short,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runRemoval(cmd.Context(), r, force, names)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, r.force)
	return cmd
}

func runRemoval(ctx context.Context, r removal, force bool, names []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	remove, err := r.open(ctx, force)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if err := remove(name); err != nil && !(force && errors.Is(err, r.absent)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
