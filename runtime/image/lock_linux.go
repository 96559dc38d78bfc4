package image

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the flock of the file name, which it makes if need be; closing
// the file releases it. It waits until ctx is done.
func lockFile(ctx context.Context, name string, exclusive bool) (*os.File, error) {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock: %w", err)
	}
	if err := flock(ctx, f, how); err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", name, err)
	}
	return f, nil
}

// flock closes f unless it succeeds. A wait that ctx cuts short goes on in the
// background and releases the lock as soon as it has it.
func flock(ctx context.Context, f *os.File, how int) error {
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- flockWait(f, how) }()
	select {
	case err := <-done:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		go func() {
			<-done
			f.Close()
		}()
		return ctx.Err()
	}
}

func flockWait(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
