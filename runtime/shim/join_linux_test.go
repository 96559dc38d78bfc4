package shim

import (
	"context"
	"testing"
	"time"
)

// A starter that finds no shim may start one beside the one that a killed starter left:
// the younger gives way at once, and the elder is taken.
func TestYoungerShimGivesWay(t *testing.T) {
	s := newStack(t)
	ctx, cancel := context.WithTimeout(t.Context(), lockPatience-5*time.Second)
	defer cancel()
	c, err := startOrJoin(ctx, startOptions(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h, err := c.Hello(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if h.Pid != s.pid {
		t.Fatalf("another shim: %d, not %d", h.Pid, s.pid)
	}
}
