package shim

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime/flock"
)

// lockFile waits for the flock of the file at path, making it if need be. The
// lock holds until the file is closed, and only for a file that still has that
// name: its holder may remove it.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock.Wait(ctx, f, unix.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("cannot lock %q: %w", path, err)
		}
		named, err1 := os.Stat(path)
		held, err2 := f.Stat()
		if err1 == nil && err2 == nil && os.SameFile(named, held) {
			return f, nil
		}
		f.Close()
	}
}

// The controller's lock is a POSIX record lock, not a flock: it belongs to the
// process, so that children it forks, even those stuck before exec, don't keep
// it. Its holder must open the file once only (closing any descriptor of it drops
// the lock).

// tryControllerLock takes the controller lock in dir. Without error but with a
// pid, another process has it. Closing the file releases it.
func tryControllerLock(f *os.File) (holder int, err error) {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lk)
	if err == nil {
		return 0, nil
	}
	lk = unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if getErr := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lk); getErr != nil || lk.Type == unix.F_UNLCK {
		return 0, err
	}
	return int(lk.Pid), nil
}

// waitControllerLock takes the controller lock once it is free.
func waitControllerLock(f *os.File) error {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	return retry(func() error { return unix.FcntlFlock(f.Fd(), unix.F_SETLKW, &lk) })
}

func openControllerLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
}
