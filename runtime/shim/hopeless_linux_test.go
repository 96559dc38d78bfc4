package shim

import (
	"testing"
	"time"
)

// A controller that cannot start is told in a hello, so that nobody waits for it;
// with no container to look after, the shim ends.
func TestHopelessController(t *testing.T) {
	o := startOptions(tempDir(t))
	o.Controller = []string{"/bin/sh", "-c", "exit 1"}
	c, err := Ensure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for {
		h, err := c.Hello(t.Context())
		if err != nil {
			t.Fatalf("it ended before it told: %v", err)
		}
		if h.Failures >= Hopeless {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := c.waitGone(t.Context()); err != nil {
		t.Fatal(err)
	}
}
