package main

import (
	"testing"

	"stack/scheduler"
)

func TestStatusCount(t *testing.T) {
	list := []*scheduler.Instance{
		{State: scheduler.StateRunning}, {State: scheduler.StateExited}, {State: scheduler.StateStopping}, {State: scheduler.StateCreated},
	}
	if got, want := statusCount(list), "created(1), exited(1), running(2)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := statusCount(nil); got != "" {
		t.Errorf("nothing: %q", got)
	}
}
