package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

type imagePushOptions struct{ quiet, all bool }

func newImagePush(a *app) *cobra.Command {
	o := &imagePushOptions{}
	cmd := &cobra.Command{
		Use:   "push NAME[:TAG]",
		Short: "Push an image to the registry that its name says",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImagePush(cmd.Context(), a, o, args[0])
		},
	}
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "print only the image's name")
	cmd.Flags().BoolVarP(&o.all, "all-tags", "a", false, "push all tags of the repository")
	return cmd
}

func runImagePush(ctx context.Context, a *app, o *imagePushOptions, name string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	names := []string{name}
	if o.all {
		if names, err = tagsOf(store, name); err != nil {
			return err
		}
	}
	client, err := a.registry()
	if err != nil {
		return err
	}
	t := newImageTransfer(a, o.quiet)
	for _, name := range names {
		err := t.push(ctx, store, client, name, func(digest string, size int64) {
			_, tag := image.SplitReference(name)
			if o.quiet {
				full, _ := image.Complete(name)
				fmt.Fprintln(a.stdout, full)
				return
			}
			if tag == "" {
				tag = "latest"
			}
			fmt.Fprintf(a.stdout, "%s: digest: %s size: %d\n", tag, digest, size)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tagsOf lists the names that the store has of a repository.
func tagsOf(store *image.Store, repository string) ([]string, error) {
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	want, _ := image.Complete(repository)
	want, _ = image.SplitReference(want)
	var names []string
	for _, rec := range all {
		if name, tag := image.SplitReference(rec.Image.Ref); name == want && tag != "" {
			names = append(names, rec.Image.Ref)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no such image: %s", repository)
	}
	return names, nil
}
