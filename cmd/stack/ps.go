package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
	"stack/spec"
)

type psOptions struct {
	all      bool
	quiet    bool
	services bool
	format   string
	status   []string
	filter   []string
	noTrunc  bool
	orphans  bool

	next map[string]time.Time // the next run of each scheduled service
}

func newPs(a *app) *cobra.Command {
	o := &psOptions{}
	cmd := &cobra.Command{
		Use:   "ps [SERVICE...]",
		Short: "List containers",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPs(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "also stopped containers and those of run")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&o.services, "services", false, "only services")
	f.StringVar(&o.format, "format", "table", "table, json or a Go template")
	f.StringArrayVar(&o.status, "status", nil, "created, running, paused, restarting, exited, …")
	f.StringArrayVar(&o.filter, "filter", nil, "status=…")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "full values")
	f.BoolVar(&o.orphans, "orphans", true, "include services not in the file")
	return cmd
}

func runPs(ctx context.Context, a *app, o *psOptions, services []string) error {
	filter, err := parseFilters(o.filter, "status")
	if err != nil {
		return err
	}
	o.status = append(o.status, filter["status"]...)
	s, all, err := a.psContainers(ctx, services)
	if err != nil {
		return err
	}
	if o.next, err = s.NextRuns(time.Now()); err != nil {
		return err
	}
	shown := o.choose(s, all, services)
	if err := o.print(a.stdout, s, shown); err != nil || o.quiet || o.services || o.format != "table" {
		return err
	}
	return a.notes(s, services)
}

// psContainers are the project's; naming a service that never existed is an error.
func (a *app) psContainers(ctx context.Context, services []string) (*scheduler.Store, []*scheduler.Instance, error) {
	s, all, err := a.current(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	unseen := slices.DeleteFunc(slices.Clone(services), func(name string) bool {
		return slices.ContainsFunc(all, func(i *scheduler.Instance) bool { return i.Service == name })
	})
	return s, all, a.known(ctx, s, all, unseen)
}

// choose applies the selection.
func (o *psOptions) choose(s *scheduler.Store, all []*scheduler.Instance, services []string) []*scheduler.Instance {
	var recorded *spec.Stack
	if !o.orphans {
		recorded = s.Recorded()
	}
	return slices.DeleteFunc(slices.Clone(all), func(i *scheduler.Instance) bool {
		status := i.Status()
		switch {
		case len(services) > 0 && !slices.Contains(services, i.Service):
			return true
		case recorded != nil && !declares(recorded, i.Service):
			return true
		case len(o.status) > 0:
			return !slices.Contains(o.status, status)
		case o.all:
			return false
		}
		if _, scheduled := o.next[i.Service]; scheduled && !i.OneOff {
			return false // it waits for its time
		}
		return status == "exited" || status == "created" || i.OneOff && status != "running" || i.Hook != nil
	})
}

func (o *psOptions) print(w io.Writer, s *scheduler.Store, shown []*scheduler.Instance) error {
	switch {
	case o.quiet:
		for _, i := range shown {
			fmt.Fprintln(w, i.ID)
		}
	case o.services:
		var names []string
		for _, i := range shown {
			names = append(names, i.Service)
		}
		slices.Sort(names)
		for _, n := range slices.Compact(names) {
			fmt.Fprintln(w, n)
		}
	case o.format == "json":
		enc := json.NewEncoder(w)
		for _, i := range shown {
			if err := enc.Encode(o.row(s, i)); err != nil {
				return err
			}
		}
	case o.format == "table":
		return o.table(w, shown)
	default:
		rows := make([]psEntry, len(shown))
		for n, i := range shown {
			rows[n] = o.row(s, i)
		}
		return printRows(w, o.format, rows)
	}
	return nil
}

func (o *psOptions) table(w io.Writer, shown []*scheduler.Instance) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "NAME\tIMAGE\tCOMMAND\tSERVICE\tCREATED\tSTATUS\tPORTS")
	for _, i := range shown {
		command := strings.Join(i.Command, " ")
		if !o.noTrunc && len([]rune(command)) > 20 {
			command = string([]rune(command)[:19]) + "…"
		}
		fmt.Fprintf(tw, "%s\t%s\t%q\t%s\t%s ago\t%s\t%s\n", i.Name, i.Image, command, i.Service,
			ago(time.Since(i.Created)), i.StatusText(time.Now())+o.nextRun(i)+openness(i)+foreign(i), portsText(i))
	}
	return tw.Flush()
}

// row is psRow with when a scheduled one runs next.
func (o *psOptions) row(s *scheduler.Store, i *scheduler.Instance) psEntry {
	row := psRow(s, i, o.noTrunc)
	if next, ok := o.next[i.Service]; ok && !i.OneOff {
		row.NextRun = next.Format(time.RFC3339)
		row.Status += o.nextRun(i)
	}
	return row
}

// nextRun tells in a table when a scheduled one runs next.
func (o *psOptions) nextRun(i *scheduler.Instance) string {
	next, ok := o.next[i.Service]
	if !ok || i.OneOff {
		return ""
	}
	next = next.Local()
	if time.Until(next) < 20*time.Hour {
		return ", next run " + next.Format(time.TimeOnly)
	}
	return ", next run " + next.Format(time.DateTime)
}
