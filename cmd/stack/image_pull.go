package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

type imagePullOptions struct {
	platform string
	quiet    bool
}

func newImagePull(a *app) *cobra.Command {
	o := &imagePullOptions{}
	cmd := &cobra.Command{
		Use:   "pull NAME[:TAG|@DIGEST]",
		Short: "Pull an image from a registry",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImagePull(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.platform, "platform", "", "OS/ARCH[/VARIANT] instead of this machine's")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print only the image's name")
	return cmd
}

// runImagePull prints, as Docker does, the digest and at last the complete name.
func runImagePull(ctx context.Context, a *app, o *imagePullOptions, name string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	full, ok := image.Complete(name)
	if !ok {
		return fmt.Errorf("cannot pull %q: it is not a registry's image", name)
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	client, err := a.registry()
	if err != nil {
		return err
	}
	t := newImageTransfer(a, o.quiet)
	rec, err := t.pull(ctx, store, client, name, name, o.platform)
	if err != nil {
		return err
	}
	if !o.quiet {
		fmt.Fprintln(a.stdout, "Digest:", rec.Target.Digest)
	}
	fmt.Fprintln(a.stdout, full)
	return nil
}
