package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

func newImageSave(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "save [-o FILE] IMAGE...",
		Short: "Write images as an archive that docker load and OCI tools read",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImageSave(cmd.Context(), a, output, args)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file instead of standard output")
	return cmd
}

func runImageSave(ctx context.Context, a *app, output string, names []string) error {
	store, err := a.changeImages()
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = absoluteImage(name)
	}
	if output == "" && isTerminal(a.stdout) {
		return errors.New("cannot write an archive to a terminal: use --output, or redirect standard output")
	}
	return a.writeOutput(output, func(w io.Writer) error { return store.Save(ctx, names, w) })
}
