package image

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime/flock"
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
	if err := flock.Wait(ctx, f, how); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", name, err)
	}
	return f, nil
}
