package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

func newRevisions(a *app) *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "revisions [SERVICE...]",
		Short: "List the last configurations of services",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRevisions(cmd.Context(), a, args, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "table, json or a Go template")
	return cmd
}

// revisionRow is a line of `revisions`.
type revisionRow struct {
	Service  string
	Revision int
	Image    string
	Digest   string
	Created  string // RFC 3339
	Age      string
	Current  bool
	Status   string
}

func runRevisions(ctx context.Context, a *app, services []string, format string) error {
	s, err := a.storeWith(ctx, services)
	if err != nil {
		return err
	}
	histories, err := s.Histories()
	if err != nil {
		return err
	}
	var rows []revisionRow
	for _, name := range slices.Sorted(maps.Keys(histories)) {
		if len(services) == 0 || slices.Contains(services, name) {
			rows = append(rows, revisionRows(name, histories[name])...)
		}
	}
	return printRows(a.stdout, format, rows, column{"SERVICE", "Service"}, column{"REVISION", "Revision"}, column{"IMAGE", "Image"},
		column{"CREATED", "Age"}, column{"STATUS", "Status"})
}

func revisionRows(service string, h *scheduler.History) (rows []revisionRow) {
	for _, r := range h.Revisions {
		row := revisionRow{
			Service: service, Revision: r.Number, Image: r.Image, Digest: r.Digest, Created: r.Created.Format(time.RFC3339),
			Age: ago(time.Since(r.Created)) + " ago", Current: r.Number == h.Current,
		}
		switch {
		case row.Current:
			row.Status = "current, " + strings.ReplaceAll(string(h.Update), "_", " ")
		case r.Failed != "":
			row.Status = "failed: " + r.Failed
		case r.Proved.IsZero():
			row.Status = "never proved"
		default:
			row.Status = "former"
		}
		rows = append(rows, row)
	}
	return rows
}

// notes tells of updates that did not simply succeed.
func (a *app) notes(s *scheduler.Store, services []string) error {
	histories, err := s.Histories()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(histories)) {
		note := histories[name].Note()
		if note != "" && (len(services) == 0 || slices.Contains(services, name)) {
			fmt.Fprintln(a.stderr, plain("service "+name+": "+note))
		}
	}
	return nil
}
