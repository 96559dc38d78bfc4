package shim

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

// A packet that is followed by the close at once is never taken for the close.
func TestPacketBeforeClose(t *testing.T) {
	for _, c := range []struct{ first, second, want int }{{0, 16, 16}, {0, 0, 0}, {8, 16, 8}} {
		next := []int{c.first, c.second}
		n, err := lastSize(func() (int, error) {
			n := next[0]
			next = next[1:]
			return n, nil
		})
		if n != c.want || err != nil {
			t.Errorf("%+v: got %d, %v", c, n, err)
		}
	}
	for range 2000 {
		ours, theirs := packetPair(t)
		go func() {
			theirs.send(Response{Pid: 1}, nil)
			theirs.Close()
		}()
		var r Response
		if _, err := ours.receive(&r); err != nil || r.Pid != 1 {
			t.Fatalf("the last packet: %+v, %v", r, err)
		}
		if _, err := ours.receive(&r); !errors.Is(err, io.EOF) {
			t.Fatalf("after it: %v", err)
		}
		ours.Close()
	}
}

func packetPair(t *testing.T) (ours, theirs *packetConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = newPacketConn(fds[0]); err != nil {
		t.Fatal(err)
	}
	if theirs, err = newPacketConn(fds[1]); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
