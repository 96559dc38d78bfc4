package scheduler

import (
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"stack/netns"
)

// taken is a network whose ports are in use for the first tries.
type taken struct {
	fakeNetwork
	tries, free int
	file        string
}

func (n *taken) Reserve(p netns.Port) (netns.Port, *os.File, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tries++; n.tries < n.free {
		return p, nil, &netns.PortTakenError{Port: p, Err: syscall.EADDRINUSE}
	}
	f, err := os.Open(n.file)
	return p, f, err
}

// A port that the one before us still has when we take over is reserved later.
func TestPortsAreReservedAgainUntilTheyAre(t *testing.T) {
	m := newMachine(t)
	n := &taken{fakeNetwork: fakeNetwork{m}, free: 3, file: os.DevNull}
	one := replicaIn(strings.Repeat("a", 64), StateRunning, "")
	c := &Controller{
		Config:    Config{Network: n, Keeper: fakeKeeper{m}, Log: slog.New(slog.DiscardHandler)},
		instances: map[string]*Instance{one.ID: one},
	}
	if err := c.resumePorts(t.Context(), one); err == nil {
		t.Fatal("the first try succeeded")
	}
	eventually(t, "the port is reserved", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return n.tries == n.free
	})
}
