package statedir

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// To ask whether a container is still being made must not give up the asker's own
// lock: Delete asks while it holds it.
func TestUnfinishedKeepsTheLock(t *testing.T) {
	root := Root(t.TempDir())
	held, err := root.Claim(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	other, err := root.Open("web")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := held.Unfinished(); got != runtime.Stopped {
		t.Errorf("its own creator says %s", got)
	}
	if got := other.Unfinished(); got != runtime.Creating {
		t.Errorf("while it is being made: %s", got)
	}
	err = unix.Flock(int(other.File.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("the lock is gone: %v", err)
	}
	held.Close()
	if got := other.Unfinished(); got != runtime.Stopped {
		t.Errorf("after its creator: %s", got)
	}
}
