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

type lsOptions struct {
	all, quiet bool
	filter     []string
	format     string
}

func newLs(a *app) *cobra.Command {
	o := &lsOptions{}
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List projects",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLs(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "also projects of which nothing runs")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only names")
	f.StringArrayVar(&o.filter, "filter", nil, "name=…")
	f.StringVar(&o.format, "format", "table", "table or json")
	return cmd
}

// lsEntry is a project in `ls --format json`.
type lsEntry struct{ Name, Status, ConfigFiles string }

func runLs(_ context.Context, a *app, o *lsOptions) error {
	if err := oneOf("format", o.format, "table", "json"); err != nil {
		return err
	}
	filter, err := parseFilters(o.filter, "name")
	if err != nil {
		return err
	}
	names, err := a.layout.Projects()
	if err != nil {
		return err
	}
	rows := []lsEntry{}
	for _, name := range names {
		if !filter.named("name", name) {
			continue
		}
		e, shown, err := lsRow(a.storeOf(name), o.all)
		if err != nil {
			fmt.Fprintf(a.stderr, "warning: project %q: %v\n", name, err)
			continue
		}
		if shown {
			rows = append(rows, e)
		}
	}
	switch {
	case o.quiet:
		for _, r := range rows {
			fmt.Fprintln(a.stdout, r.Name)
		}
		return nil
	case o.format == "json":
		return printArray(a.stdout, rows)
	}
	return printRows(a.stdout, "", rows, column{"NAME", "Name"}, column{"STATUS", "Status"}, column{"CONFIG FILES", "ConfigFiles"})
}

// lsRow is a project's line; shown unless nothing of it runs.
func lsRow(s *scheduler.Store, all bool) (e lsEntry, shown bool, err error) {
	list, err := s.Current(time.Now())
	if err != nil {
		return e, false, err
	}
	running := func(i *scheduler.Instance) bool { return i.Status() == "running" }
	e = lsEntry{Name: s.Project, Status: statusCount(list), ConfigFiles: configFiles(s, list)}
	return e, all || slices.ContainsFunc(list, running), nil
}

// statusCount is "exited(1), running(2)".
func statusCount(list []*scheduler.Instance) string {
	count := map[string]int{}
	for _, i := range list {
		count[i.Status()]++
	}
	var out []string
	for _, status := range slices.Sorted(maps.Keys(count)) {
		out = append(out, fmt.Sprintf("%s(%d)", status, count[status]))
	}
	return strings.Join(out, ", ")
}

// configFiles are those that the newest container was made from; of a project
// without containers, those of the last up.
func configFiles(s *scheduler.Store, list []*scheduler.Instance) string {
	if len(list) > 0 {
		newest := slices.MaxFunc(list, func(a, b *scheduler.Instance) int { return a.Created.Compare(b.Created) })
		return newest.Labels["com.docker.compose.project.config_files"]
	}
	w, err := s.LoadWish()
	if err != nil || w.Stack == nil {
		return ""
	}
	return strings.Join(w.Stack.ComposeFiles, ",")
}
