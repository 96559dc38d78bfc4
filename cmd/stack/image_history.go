package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stack/runtime/image"
)

type imageHistoryOptions struct {
	quiet, noTrunc, human bool
	format                string
}

func newImageHistory(a *app) *cobra.Command {
	o := &imageHistoryOptions{}
	cmd := &cobra.Command{
		Use:   "history IMAGE",
		Short: "Show how an image was made",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImageHistory(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "full values")
	f.BoolVarP(&o.human, "human", "H", true, "readable sizes and dates")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	return cmd
}

// historyRow is one step of an image, with Docker's keys.
type historyRow struct {
	Comment, CreatedAt, CreatedBy, CreatedSince, ID, Size string
}

func runImageHistory(_ context.Context, a *app, o *imageHistoryOptions, name string) error {
	store, err := a.openImages()
	if err != nil {
		return err
	}
	rec, _, err := findImage(store, name)
	if err != nil {
		return err
	}
	rows, err := o.rows(rec)
	if err != nil {
		return err
	}
	if o.quiet {
		return printEach(a.stdout, rows, func(r historyRow) string { return r.ID })
	}
	return printRows(a.stdout, o.format, rows, column{"IMAGE", "ID"}, column{"CREATED", "CreatedSince"},
		column{"CREATED BY", "CreatedBy"}, column{"SIZE", "Size"}, column{"COMMENT", "Comment"})
}

// rows are the steps, the latest first. An image that tells nothing of its making
// shows its layers.
func (o *imageHistoryOptions) rows(rec image.Record) ([]historyRow, error) {
	sizes, err := layerSizes(rec)
	if err != nil {
		return nil, err
	}
	var rows []historyRow
	for _, h := range rec.History {
		r := historyRow{Comment: h.Comment, CreatedBy: h.CreatedBy, ID: "<missing>", Size: o.size(0), CreatedSince: "N/A", CreatedAt: "N/A"}
		if !h.EmptyLayer && len(sizes) > 0 {
			r.Size, sizes = o.size(sizes[0]), sizes[1:]
		}
		if h.Created != nil {
			r.CreatedAt, r.CreatedSince = h.Created.Format(time.RFC3339), ago(time.Since(*h.Created))+" ago"
		}
		if !o.human {
			r.CreatedSince = r.CreatedAt
		}
		if text := []rune(r.CreatedBy); !o.noTrunc && len(text) > 45 {
			r.CreatedBy = string(text[:44]) + "…"
		}
		rows = append(rows, r)
	}
	for _, n := range sizes {
		rows = append(rows, historyRow{ID: "<missing>", Size: o.size(n), CreatedSince: "N/A", CreatedAt: "N/A"})
	}
	slices.Reverse(rows)
	if len(rows) > 0 {
		rows[0].ID = rec.Image.Digest
		if !o.noTrunc {
			rows[0].ID = shortID(rec.Image.Digest)
		}
	}
	return rows, nil
}

// layerSizes are those of the layers, the lowest first. A layer that occurs twice
// is stored once, as its upper occurrence.
func layerSizes(rec image.Record) ([]int64, error) {
	var out []int64
	dirs := slices.Clone(rec.Image.Layers)
	slices.Reverse(dirs)
	for i, diff := range rec.DiffIDs {
		if slices.Contains(rec.DiffIDs[i+1:], diff) || len(dirs) == 0 {
			out = append(out, 0)
			continue
		}
		n, err := image.DiskUse(dirs[0])
		if err != nil {
			return nil, fmt.Errorf("cannot measure layer: %w", err)
		}
		out, dirs = append(out, n), dirs[1:]
	}
	return out, nil
}

func (o *imageHistoryOptions) size(n int64) string {
	if !o.human {
		return strconv.FormatInt(n, 10)
	}
	return size(uint64(n))
}
