package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/image"
	"stack/scheduler/inspect"
)

// newImage groups the verbs about the local image store.
func newImage(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Images: look, pull, push, load, save, tag, remove"}
	cmd.AddCommand(newImageLs(a), newImageInspect(a), newImageHistory(a), newImageRm(a), newImagePrune(a),
		newImagePull(a), newImagePush(a), newImageTag(a), newImageLoad(a), newImageSave(a), newImageImport(a))
	return cmd
}

func newImageInspect(a *app) *cobra.Command {
	return inspectVerb(a, "inspect IMAGE...", "Show all that is known of images", inspectImage)
}

func inspectImage(_ context.Context, a *app, name string) (any, error) {
	store, err := a.openImages()
	if err != nil {
		return nil, err
	}
	rec, all, err := findImage(store, name)
	if err != nil {
		return nil, err
	}
	size, err := store.Size(rec.Image)
	if err != nil {
		return nil, err
	}
	same := slices.DeleteFunc(all, func(r image.Record) bool { return r.Image.Digest != rec.Image.Digest })
	parts, err := store.Parts(rec)
	if err != nil {
		return nil, err
	}
	return inspect.NewImage(rec, same, size, parts), nil
}

// findImage looks an image up by reference or ID; all are those of the store.
func findImage(store *image.Store, name string) (rec image.Record, all []image.Record, err error) {
	if all, err = store.List(); err != nil {
		return rec, nil, err
	}
	rec, err = image.Find(all, name)
	return rec, all, err
}

type imageLsOptions struct {
	all, quiet, noTrunc, digests bool
	filter                       []string
	format                       string
}

func newImageLs(a *app) *cobra.Command {
	o := &imageLsOptions{}
	cmd := &cobra.Command{
		Use:     "ls [REPOSITORY[:TAG]]",
		Aliases: []string{"list"},
		Short:   "List images of the local store",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImageLs(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "accepted for compatibility: none is hidden")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "full IDs")
	f.BoolVar(&o.digests, "digests", false, "show digests")
	f.StringArrayVarP(&o.filter, "filter", "f", nil, "reference=PATTERN, label=K[=V], dangling=true, before=IMAGE, since=IMAGE")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	return cmd
}

// imageRow is an image in a listing, with Docker's keys.
type imageRow struct {
	Containers, CreatedAt, CreatedSince, Digest, ID, Repository, SharedSize, Size, Tag, UniqueSize, VirtualSize string
}

func runImageLs(_ context.Context, a *app, o *imageLsOptions, args []string) error {
	filter, err := parseFilters(o.filter, "reference", "label", "dangling", "before", "since")
	if err != nil {
		return err
	}
	store, err := a.openImages()
	if err != nil {
		return err
	}
	all, err := store.List()
	if err != nil {
		return err
	}
	rows := []imageRow{}
	for _, rec := range all {
		if len(args) > 0 && !calledLike(rec, args[0]) {
			continue
		}
		if ok, err := filter.image(all, rec); err != nil || !ok {
			if err != nil {
				return err
			}
			continue
		}
		row, err := o.row(store, rec)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if o.quiet {
		return printEach(a.stdout, rows, func(r imageRow) string { return r.ID })
	}
	columns := []column{{"REPOSITORY", "Repository"}, {"TAG", "Tag"}}
	if o.digests {
		columns = append(columns, column{"DIGEST", "Digest"})
	}
	return printRows(a.stdout, o.format, rows, append(columns, column{"IMAGE ID", "ID"}, column{"CREATED", "CreatedSince"}, column{"SIZE", "Size"})...)
}

// digestOf is what the registry knows the image by.
func digestOf(rec image.Record) string {
	if rec.Target == nil {
		return "<none>"
	}
	return rec.Target.Digest.String()
}

func (o *imageLsOptions) row(store *image.Store, rec image.Record) (imageRow, error) {
	n, err := store.Size(rec.Image)
	if err != nil {
		return imageRow{}, err
	}
	r := imageRow{
		Containers: "N/A", CreatedAt: "N/A", CreatedSince: "N/A", Digest: digestOf(rec), ID: rec.Image.Digest,
		SharedSize: "N/A", Size: size(uint64(n)), UniqueSize: "N/A", VirtualSize: size(uint64(n)),
	}
	if !o.noTrunc {
		r.ID = shortID(r.ID)
	}
	r.Repository, r.Tag = image.SplitReference(rec.Image.Ref)
	r.Tag = cmp.Or(r.Tag, "<none>")
	if rec.Created != nil {
		r.CreatedAt, r.CreatedSince = dockerTime(*rec.Created), ago(time.Since(*rec.Created))+" ago"
	}
	return r, nil
}
