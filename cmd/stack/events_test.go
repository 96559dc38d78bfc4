package main

import (
	"strings"
	"testing"

	"stack/scheduler"
)

// TestPrintEventWithError: an event that has an error and nothing else beside it.
func TestPrintEventWithError(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var b strings.Builder
		if err := printEvent(&b, scheduler.Event{Type: "service", Name: "web", Error: "no room"}, asJSON); err != nil || !strings.Contains(b.String(), "no room") {
			t.Errorf("%q: %v", b.String(), err)
		}
	}
}
