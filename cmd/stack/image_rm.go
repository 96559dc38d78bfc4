package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

type imageRmOptions struct{ force bool }

func newImageRm(a *app) *cobra.Command {
	o := &imageRmOptions{}
	cmd := &cobra.Command{
		Use:     "rm IMAGE...",
		Aliases: []string{"remove"},
		Short:   "Remove images of which no container is made",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return runImageRm(cmd.Context(), a, o, names)
		},
	}
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "ignore those that are not there")
	return cmd
}

func runImageRm(ctx context.Context, a *app, o *imageRmOptions, names []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		err := a.removeImage(ctx, store, name)
		if err != nil && !(o.force && errors.Is(err, image.ErrNotFound)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeImage removes one reference, or by ID all that lead to the image.
func (a *app) removeImage(ctx context.Context, store *image.Store, name string) error {
	all, err := store.List()
	if err != nil {
		return err
	}
	rec, err := image.Find(all, name)
	if err != nil {
		return err
	}
	inUse, err := a.layersInUse(all)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Image.Ref != name && (rec.Image.Ref == name || r.Image.Digest != rec.Image.Digest) {
			continue
		}
		done, err := store.Remove(ctx, r.Image.Ref, inUse)
		if err != nil {
			return err
		}
		a.sayRemoved(done)
	}
	return nil
}

func (a *app) sayRemoved(done image.Pruned) {
	for _, ref := range done.Images {
		fmt.Fprintln(a.stdout, "Untagged:", ref)
	}
	for _, dir := range done.Layers {
		fmt.Fprintln(a.stdout, "Deleted:", dir)
	}
}

// layersInUse are the layer directories of every container of every project. Of a
// container that does not tell them its image's count.
func (a *app) layersInUse(recs []image.Record) ([]string, error) {
	all, err := a.layout.Containers(time.Now())
	if err != nil {
		return nil, fmt.Errorf("cannot tell which images are in use: %w", err)
	}
	var out []string
	for _, c := range all {
		layers, err := c.Layers()
		if err != nil {
			return nil, fmt.Errorf("cannot tell which image container %s uses: %w", c.Name, err)
		}
		if layers == nil {
			for _, r := range recs {
				if r.Image.Digest == c.Digest {
					layers = append(layers, r.Image.Layers...)
				}
			}
		}
		out = append(out, layers...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func newImagePrune(a *app) *cobra.Command {
	o := &pruneOptions{}
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove images of which no container is made",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runImagePrune(cmd.Context(), a, o)
		},
	}
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "do not ask")
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "also images that have a name; without it only leftover layers")
	return cmd
}

func runImagePrune(ctx context.Context, a *app, o *pruneOptions) error {
	if err := requireRoot(); err != nil {
		return err
	}
	what := "layers that no image has."
	if o.all {
		what = "all images without at least one container associated to them."
	}
	if !o.force && !a.confirm("This will remove "+what) {
		return nil
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	recs, err := store.List()
	if err != nil {
		return err
	}
	inUse, err := a.layersInUse(recs)
	if err != nil {
		return err
	}
	if !o.all {
		for _, r := range recs {
			inUse = append(inUse, r.Image.Layers...)
		}
	}
	done, err := store.Prune(ctx, inUse)
	a.sayRemoved(done)
	return err
}
