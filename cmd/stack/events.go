package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stack/scheduler"
)

type eventsOptions struct {
	json         bool
	since, until string
	filter       []string
}

func newEvents(a *app) *cobra.Command {
	o := &eventsOptions{}
	cmd := &cobra.Command{
		Use:   "events [SERVICE...]",
		Short: "Show what happens to the project's containers, and what was repaired",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runEvents(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "one JSON object a line")
	f.StringVar(&o.since, "since", "", "also what happened from this time (RFC 3339, Unix) or age (10m) on")
	f.StringVar(&o.until, "until", "", "up to this time or age")
	f.StringArrayVar(&o.filter, "filter", nil, "type=…, event=…, service=… or container=…")
	return cmd
}

func runEvents(ctx context.Context, a *app, o *eventsOptions, services []string) error {
	now := time.Now()
	since, err := parseTime(o.since, now)
	if err != nil {
		return err
	}
	until, err := parseTime(o.until, now)
	if err != nil {
		return err
	}
	if since.IsZero() {
		since = now
	}
	chosen, err := parseFilters(o.filter, "type", "event", "service", "container")
	if err != nil {
		return err
	}
	s, err := a.store(ctx)
	if err != nil {
		return err
	}
	wanted := eventFilter{since: since, until: until, services: services, filters: chosen}
	show := func(ev scheduler.Event) error {
		if !wanted.shows(ev) {
			return nil
		}
		return printEvent(a.stdout, ev, o.json)
	}
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	err = followEvents(ctx, s, show)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// printEvent prints an event as Docker Compose does.
func printEvent(w io.Writer, ev scheduler.Event, asJSON bool) error {
	id := cmp.Or(ev.ID, ev.Name)
	if ev.Error != "" {
		if ev.Attributes = maps.Clone(ev.Attributes); ev.Attributes == nil {
			ev.Attributes = map[string]string{}
		}
		ev.Attributes["error"] = ev.Error
	}
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Action     string            `json:"action"`
			Attributes map[string]string `json:"attributes"`
			ID         string            `json:"id"`
			Service    string            `json:"service"`
			Time       time.Time         `json:"time"`
			Type       string            `json:"type"`
		}{ev.Action, ev.Attributes, id, ev.Service, ev.Time, ev.Type})
	}
	var attributes []string
	for _, k := range slices.Sorted(maps.Keys(ev.Attributes)) {
		attributes = append(attributes, k+"="+ev.Attributes[k])
	}
	text := fmt.Sprintf("%s %s %s %s (%s)", ev.Time.Local().Format("2006-01-02 15:04:05.000000"), ev.Type, ev.Action, id, strings.Join(attributes, ", "))
	_, err := fmt.Fprintln(w, plain(text))
	return err
}
