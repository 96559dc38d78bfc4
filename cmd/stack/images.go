package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"stack/runtime/image"
	"stack/scheduler"
)

type imagesOptions struct {
	format string
	quiet  bool
}

func newImages(a *app) *cobra.Command {
	o := &imagesOptions{}
	cmd := &cobra.Command{
		Use:   "images [SERVICE...]",
		Short: "List the images of the project's containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImages(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", "table or json")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only IDs")
	return cmd
}

// usedImage is the image of one container, with Docker Compose's keys.
type usedImage struct {
	ID            string
	ContainerName string
	Repository    string
	Tag           string
	Platform      string
	Size          int64
	Created       *time.Time `json:",omitempty"`
	LastTagTime   time.Time  `json:",omitzero"`
}

func runImages(ctx context.Context, a *app, o *imagesOptions, services []string) error {
	if err := oneOf("format", o.format, "table", "json"); err != nil {
		return err
	}
	s, err := a.storeWith(ctx, services)
	if err != nil {
		return err
	}
	list, err := s.Current(time.Now())
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(i *scheduler.Instance) bool {
		return len(services) > 0 && !slices.Contains(services, i.Service)
	})
	used, err := usedImages(a, s, list)
	if err != nil {
		return err
	}
	switch {
	case o.quiet:
		return printDigests(a, used)
	case o.format == "json":
		return printArray(a.stdout, used)
	}
	return printUsedImages(a, used)
}

func usedImages(a *app, s *scheduler.Store, list []*scheduler.Instance) ([]usedImage, error) {
	store, err := a.openImages()
	if err != nil {
		return nil, err
	}
	recs, err := store.List()
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	var out []usedImage
	for _, i := range list {
		u := usedImage{ID: i.Digest, ContainerName: i.Name}
		u.Repository, u.Tag = image.SplitReference(i.Image)
		if rec, err := image.Find(recs, i.Digest); err == nil {
			u.Created, u.LastTagTime = rec.Created, rec.Unpacked
			u.Platform = rec.OS + "/" + rec.Architecture
		}
		if _, known := sizes[i.Digest]; !known {
			d, err := s.LoadDetails(i.ID)
			if err == nil {
				sizes[i.Digest], err = store.Size(d.Image)
			}
			if err != nil {
				sizes[i.Digest] = 0
			}
		}
		u.Size = sizes[i.Digest]
		out = append(out, u)
	}
	return out, nil
}

func printDigests(a *app, used []usedImage) error {
	seen := map[string]bool{}
	for _, u := range used {
		if !seen[u.ID] {
			seen[u.ID] = true
			_, hex, _ := strings.Cut(u.ID, ":")
			fmt.Fprintln(a.stdout, hex)
		}
	}
	return nil
}

func printUsedImages(a *app, used []usedImage) error {
	type row struct{ Container, Repository, Tag, Platform, ID, Size, Created string }
	rows := []row{}
	for _, u := range used {
		r := row{u.ContainerName, u.Repository, cmp.Or(u.Tag, "<none>"), cmp.Or(u.Platform, "N/A"), shortID(u.ID), units.HumanSizeWithPrecision(float64(u.Size), 3), "N/A"}
		if u.Created != nil {
			r.Created = ago(time.Since(*u.Created)) + " ago"
		}
		rows = append(rows, r)
	}
	return printRows(a.stdout, "", rows, column{"CONTAINER", "Container"}, column{"REPOSITORY", "Repository"},
		column{"TAG", "Tag"}, column{"PLATFORM", "Platform"}, column{"IMAGE ID", "ID"}, column{"SIZE", "Size"}, column{"CREATED", "Created"})
}
