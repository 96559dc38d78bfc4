package main

import (
	"net/netip"
	"testing"

	"stack/netns"
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

func TestPortsText(t *testing.T) {
	i := &scheduler.Instance{Ports: []netns.Port{
		{HostIP: netip.MustParseAddr("::1"), HostPort: 8080, Target: 80, Protocol: "tcp"}, {HostPort: 53, Target: 53, Protocol: "udp"},
	}}
	if got, want := portsText(i), "[::1]:8080->80/tcp, 0.0.0.0:53->53/udp"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
