package main

import (
	"strconv"
	"strings"

	"stack/scheduler"
)

// progressLine is a line of `--progress json`, with Docker Compose's keys.
type progressLine struct {
	ID       string `json:"id,omitempty"`
	ParentID string `json:"parent_id,omitempty"`
	Status   string `json:"status,omitempty"` // Working, Done, Warning or Error
	Text     string `json:"text,omitempty"`
	Details  string `json:"details,omitempty"`
	Current  int64  `json:"current,omitempty"`
	Total    int64  `json:"total,omitempty"`
	Percent  int    `json:"percent,omitempty"`
}

// failureLine is what a failed command ends with then.
type failureLine struct {
	Error   bool   `json:"error"`
	Message string `json:"message"`
}

// lineOf is a reply as such a line; false for one that shows no progress.
func lineOf(r scheduler.Reply) (progressLine, bool) {
	ev := r.Event
	switch {
	case r.Warning != "":
		return progressLine{Status: "Warning", Text: r.Warning}, true
	case ev == nil || ev.Progress == "":
		return progressLine{}, false
	case ev.Type == typeLayer:
		l := progressLine{ID: ev.ID, ParentID: "Image " + ev.Name, Status: statusOf(ev.Progress), Text: ev.Progress}
		l.Current, _ = strconv.ParseInt(ev.Attributes["current"], 10, 64)
		l.Total, _ = strconv.ParseInt(ev.Attributes["total"], 10, 64)
		if l.Total > 0 {
			l.Percent = int(l.Current * 100 / l.Total)
		}
		return l, true
	}
	word, rest, _ := strings.Cut(ev.Progress, " ") // "Skipped Image can be built"
	if ev.Error != "" {
		rest = ev.Error
	}
	return progressLine{ID: title(ev.Type) + " " + ev.Name, Status: statusOf(word), Text: word, Details: rest}, true
}

func statusOf(word string) string {
	switch {
	case word == "Error":
		return "Error"
	case strings.HasSuffix(word, "ing"):
		return "Working"
	}
	return "Done"
}
