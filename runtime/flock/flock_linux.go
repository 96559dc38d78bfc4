package flock

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Wait takes f's lock, unix.LOCK_EX or LOCK_SH; it ends when f is closed, or with the
// process. A wait that ctx cuts short cannot be interrupted: it goes on with a
// duplicate of the descriptor, and what it gets ends with that.
func Wait(ctx context.Context, f *os.File, how int) error {
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	dup, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(dup, how)
		}
		unix.Close(dup)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
