package main

import (
	"slices"
	"strings"
	"time"

	"stack/scheduler"
)

// eventFilter chooses what `events` shows.
type eventFilter struct {
	since, until time.Time
	services     []string
	filters      filters
}

// shows reports whether an event is among those asked for: without a filter those of
// containers, as Docker Compose has them, those of the live stack file, and whatever was repaired.
func (f eventFilter) shows(ev scheduler.Event) bool {
	switch {
	case ev.Time.Before(f.since), !f.until.IsZero() && ev.Time.After(f.until):
		return false
	case len(f.services) > 0 && !slices.Contains(f.services, ev.Service):
		return false
	case len(f.filters["type"]) == 0 && !slices.Contains([]string{"container", "service", "stack"}, ev.Type) && ev.Action != scheduler.ActionRepair:
		return false
	}
	return f.filters.is("type", ev.Type) && f.filters.is("service", ev.Service) &&
		f.filters.any("event", func(want string) bool {
			return ev.Action == want || strings.HasPrefix(ev.Action, want+":") // health_status: healthy
		}) &&
		f.filters.any("container", func(want string) bool {
			return ev.Type == "container" && (ev.Name == want || len(want) >= 4 && strings.HasPrefix(ev.ID, want))
		})
}
