package flock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWait: a wait ends with the lock or with its context, and one that was cut short
// keeps nothing.
func TestWait(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	holder, other := open(), open()
	if err := Wait(t.Context(), holder, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Wait(ctx, other, unix.LOCK_SH); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait without time: %v", err)
	}
	got := make(chan error, 1)
	waiter := open()
	go func() { got <- Wait(t.Context(), waiter, unix.LOCK_EX) }()
	other.Close()
	holder.Close()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
