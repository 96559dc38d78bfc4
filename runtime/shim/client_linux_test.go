package shim

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slowShim is a client of something that answers each request after asked was
// called, unless that says no.
func slowShim(t *testing.T, asked func() bool) *Client {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newPacketConn(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := newPacketConn(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	go func() {
		for {
			var r Request
			if _, err := theirs.receive(&r); err != nil {
				return
			}
			if asked() {
				_ = theirs.send(Response{}, nil)
			}
		}
	}()
	return &Client{conn: ours}
}

// Whose interest ends while the shim answers does not cost the others, who use the
// same connection, the shim: a start that failed half-way once made the controller
// end for that.
func TestCancelledCallKeepsTheConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := slowShim(t, func() bool {
		cancel()
		time.Sleep(20 * time.Millisecond)
		return true
	})
	defer c.Close()
	if err := c.Forget(ctx, "a"); err != nil {
		t.Errorf("an answer that came was thrown away: %v", err)
	}
	if err := c.Forget(ctx, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("asked after the end: %v", err)
	}
	for range 3 {
		if err := c.Forget(t.Context(), "c"); err != nil {
			t.Errorf("the connection is lost: %v", err)
		}
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	c := slowShim(t, func() bool { return false })
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Forget(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
	if err := c.Forget(t.Context(), "a"); !errors.Is(err, ErrGone) {
		t.Errorf("an answer to come would be taken for another's: %v", err)
	}
}
