package shim

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime/flock"
)

// Vacate removes the directory of a project that was taken down, once its shim is
// gone. It leaves it when wanted, asked under the lock that Ensure takes, says that
// somebody has the project up again, or when ctx ends first.
func Vacate(ctx context.Context, dir string, wanted func() bool) error {
	if c, err := Dial(dir); err == nil {
		err = c.waitGone(ctx)
		c.Close()
		if err != nil {
			return fmt.Errorf("cannot wait for the shim of %q: %w", dir, err)
		}
	}
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := flock.Wait(ctx, d, unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock %q: %w", dir, err)
	}
	c, err := Dial(dir)
	if err == nil {
		return c.Close() // a new one lives
	}
	if !errors.Is(err, ErrNoShim) || wanted() {
		return nil
	}
	return os.RemoveAll(dir)
}
