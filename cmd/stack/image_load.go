package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

type imageLoadOptions struct {
	input string
	quiet bool
}

func newImageLoad(a *app) *cobra.Command {
	o := &imageLoadOptions{}
	cmd := &cobra.Command{
		Use:   "load [-i FILE|DIRECTORY]",
		Short: "Load images from what docker save writes, or from an OCI layout",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runImageLoad(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVarP(&o.input, "input", "i", "", "archive or directory instead of standard input")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "accepted for compatibility: nothing else is printed")
	return cmd
}

func runImageLoad(ctx context.Context, a *app, o *imageLoadOptions) error {
	store, err := a.changeImages()
	if err != nil {
		return err
	}
	from, ok := a.stdin.(*os.File)
	switch {
	case o.input != "":
		if from, err = os.Open(o.input); err != nil {
			return fmt.Errorf("cannot load images: %w", err)
		}
		defer from.Close()
	case !ok || isTerminal(from):
		return errors.New("cannot load images from a terminal: use --input, or send an archive to standard input")
	}
	recs, err := store.Load(ctx, from)
	for _, rec := range recs {
		if rec.Tagged() {
			fmt.Fprintln(a.stdout, "Loaded image:", image.Familiar(rec.Image.Ref))
		} else {
			fmt.Fprintln(a.stdout, "Loaded image ID:", rec.Image.Digest)
		}
	}
	return err
}
