package scheduler

import (
	"strings"
	"time"
)

// LiveKind says what became of an edit.
type LiveKind string

const (
	LiveEnabled  LiveKind = "enabled"
	LiveApplied  LiveKind = "applied"
	LiveRejected LiveKind = "rejected" // nothing changed
	LiveWaits    LiveKind = "waits"    // for Approve, or a new up
	LiveSame     LiveKind = "same"     // a bad or waiting edit was taken back
	LiveFailed   LiveKind = "failed"   // on the way, after it was applied
)

// LiveReport is one thing that a live stack file led to.
type LiveReport struct {
	Kind LiveKind
	// ID names an edit that waits.
	ID      string   `json:",omitempty"`
	Plan    string   `json:",omitempty"`
	Reasons []Reason `json:",omitempty"`
	// NeedsUp says that consent is not enough.
	NeedsUp bool          `json:",omitempty"`
	Problem LiveProblem   `json:",omitzero"`
	Took    time.Duration `json:",omitempty"`
}

// emitLive records a report as an event of the stack.
func (c *Controller) emitLive(r LiveReport) {
	action := map[LiveKind]string{
		LiveApplied: "reload", LiveRejected: "reload_rejected", LiveWaits: "reload_waits", LiveFailed: "reload_failed",
	}[r.Kind]
	if action == "" {
		return
	}
	attributes := map[string]string{}
	if r.Plan != "" {
		attributes["plan"] = r.Plan
	}
	var reasons []string
	for _, reason := range r.Reasons {
		reasons = append(reasons, reason.String())
	}
	if len(reasons) > 0 {
		attributes["reasons"] = strings.Join(reasons, "\n")
	}
	if text := strings.TrimSpace(r.Problem.Text); text != "" {
		attributes["error"] = text
	}
	c.emit(Event{Type: "stack", Action: action, Name: c.Store.Project, Attributes: attributes})
}
