package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

func newImageRm(a *app) *cobra.Command {
	return removeVerb(removal{
		use: "rm IMAGE...", short: "Remove images of which no container is made",
		force:  "also by ID with several names, or in use: it loses its name; ignore those that are not there",
		absent: image.ErrNotFound,
		open: func(ctx context.Context, force bool) (func(string) error, error) {
			store, err := a.openImages()
			return func(name string) error { return a.removeImage(ctx, store, name, force) }, err
		},
	})
}

// removeImage removes one reference, or by ID the image under all of its names, if
// it has but one or force is set.
func (a *app) removeImage(ctx context.Context, store *image.Store, name string, force bool) error {
	rec, all, err := findImage(store, name)
	if err != nil {
		return err
	}
	refs := []string{rec.Image.Ref}
	if byID(rec, name) {
		refs = nil
		for _, r := range all {
			if r.Image.Digest == rec.Image.Digest {
				refs = append(refs, r.Image.Ref)
			}
		}
		if len(refs) > 1 && !force {
			return fmt.Errorf("cannot remove image %q: it has several names, say which or use --force: %s", name, familiar(refs))
		}
	}
	for _, ref := range refs {
		done, err := store.Remove(ctx, ref, a.imageUse, force)
		if err != nil {
			return err
		}
		a.sayRemoved(done)
	}
	return nil
}

// byID says whether name found the image as the beginning of its digest, not as its
// reference: an image may be called "cafe".
func byID(rec image.Record, name string) bool {
	if full, ok := image.Complete(name); ok && full == rec.Image.Ref {
		return false
	}
	hex := strings.TrimPrefix(rec.Image.Digest, "sha256:")
	return name != "" && strings.HasPrefix(hex, strings.TrimPrefix(name, "sha256:"))
}

func familiar(refs []string) string {
	var out []string
	for _, ref := range refs {
		out = append(out, image.Familiar(ref))
	}
	return strings.Join(out, ", ")
}

func (a *app) sayRemoved(done image.Pruned) {
	for _, ref := range done.Untagged {
		fmt.Fprintln(a.stdout, "Untagged:", image.Familiar(ref))
	}
	for _, id := range done.Deleted {
		fmt.Fprintln(a.stdout, "Deleted:", id)
	}
	for _, dir := range done.Layers {
		fmt.Fprintln(a.stdout, "Deleted:", dir)
	}
}

// imageUse is what the containers of every project need. Of a container that does
// not tell its layers its image's count.
func (a *app) imageUse(recs []image.Record) (image.Use, error) {
	var use image.Use
	all, err := a.layout.Containers(time.Now())
	if err != nil {
		return use, fmt.Errorf("cannot tell which images are in use: %w", err)
	}
	for _, c := range all {
		layers, err := c.Layers()
		if err != nil {
			return use, fmt.Errorf("cannot tell which image container %s uses: %w", c.Name, err)
		}
		if layers == nil {
			for _, r := range recs {
				if r.Image.Digest == c.Digest {
					layers = append(layers, r.Image.Layers...)
				}
			}
		}
		use.Images, use.Layers = append(use.Images, c.Digest), append(use.Layers, layers...)
	}
	err = a.revisionUse(&use)
	return use, err
}

// revisionUse adds what services would return to if their updates failed.
func (a *app) revisionUse(use *image.Use) error {
	projects, err := a.layout.Projects()
	if err != nil {
		return err
	}
	for _, name := range projects {
		histories, err := a.storeOf(name).Histories()
		if err != nil {
			return fmt.Errorf("cannot tell which images project %s needs: %w", name, err)
		}
		for _, h := range histories {
			if r := h.Revision(h.Good); r != nil && r.Recipe != nil {
				use.Images, use.Layers = append(use.Images, r.Digest), append(use.Layers, r.Recipe.Image.Layers...)
			}
		}
	}
	return nil
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
	o.flags(cmd, "until=TIME, label=K[=V]")
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "also images that have a name; without it only those that lost it, and leftover layers")
	return cmd
}

func runImagePrune(ctx context.Context, a *app, o *pruneOptions) error {
	if err := requireRoot(); err != nil {
		return err
	}
	what := "all images without a name and leftover layers."
	if o.all {
		what = "all images without at least one container associated to them."
	}
	if !o.force && !a.confirm("This will remove "+what) {
		return nil
	}
	filter, err := parseFilters(o.filter, "until", "label")
	if err != nil {
		return err
	}
	before, err := filter.until(time.Now())
	if err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	done, err := store.Prune(ctx, a.imageUse, func(rec image.Record) bool {
		old := before.IsZero() || rec.Created != nil && rec.Created.Before(before)
		return (o.all || !rec.Tagged()) && old && filter.labelled(rec.Image.Config.Labels)
	})
	a.sayRemoved(done)
	if err == nil {
		fmt.Fprintf(a.stdout, "Total reclaimed space: %s\n", size(uint64(done.Bytes)))
	}
	return err
}
