package main

import (
	"os"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

func newImageTag(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "tag IMAGE NAME[:TAG]",
		Short: "Give an image one more name",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.changeImages()
			if err != nil {
				return err
			}
			return store.Tag(cmd.Context(), absoluteImage(args[0]), args[1])
		},
	}
}

// changeImages opens the store to put something in.
func (a *app) changeImages() (*image.Store, error) {
	if err := requireRoot(); err != nil {
		return nil, err
	}
	return a.openImages()
}

// absoluteImage reads a path in a reference as from the working directory.
func absoluteImage(ref string) string {
	here, err := os.Getwd()
	if err != nil {
		return ref
	}
	return image.Absolute(ref, here)
}
