package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bare gives the root of a mount namespace without what is mounted below it: the
// files of the container's own layers. It is a mount of the caller's, gone when it
// is closed.
func Bare(namespace *os.File) (*os.File, error) {
	var root *os.File
	err := throwAway(func() error {
		if err := join(int(namespace.Fd())); err != nil {
			return err
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return fmt.Errorf("cannot clone the container's root: %w", err)
		}
		root = os.NewFile(uintptr(fd), "/")
		return nil
	})
	return root, err
}
