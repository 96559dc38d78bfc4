package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDialInside(t *testing.T) {
	l := newLab(t)
	h, c := l.open("p"), l.container("c")
	must(t, h.Loopback(t.Context(), c.pid))
	l.serve(c.ns, "127.0.0.1:81", "inside")
	conn, err := h.Dial(t.Context(), c.pid, "tcp", "127.0.0.1:81")
	must(t, err)
	defer conn.Close()
	if text, err := io.ReadAll(conn); err != nil || string(text[:6]) != "inside" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := h.Dial(t.Context(), c.pid, "tcp", "127.0.0.1:82"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a closed port: %v", err)
	}
	// This process's own namespace, which a service with network_mode: host has.
	own, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer own.Close()
	conn, err = h.Dial(t.Context(), os.Getpid(), "tcp", own.Addr().String())
	must(t, err)
	conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := h.Dial(ctx, c.pid, "tcp", "127.0.0.1:81"); !os.IsTimeout(err) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("out of time: %v", err)
	}
}
