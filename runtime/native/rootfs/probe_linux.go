package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrUnfit says that overlayfs cannot write to a file system.
var ErrUnfit = errors.New("overlayfs cannot keep changes on this file system")

// ProbeOverlay tries whether the writable layer of an overlay can lie in dir. It
// leaves nothing behind. Errors: ErrUnfit, where a tmpfs takes its place.
func ProbeOverlay(dir string) error {
	tmp, err := os.MkdirTemp(dir, ".probe-")
	if err != nil {
		return fmt.Errorf("cannot make a directory: %w", err)
	}
	defer os.RemoveAll(tmp)
	var fds [3]int
	for n, name := range []string{"lower", "upper", "work"} {
		path := filepath.Join(tmp, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if fds[n], err = openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
			return fmt.Errorf("cannot open directory %q: %w", path, err)
		}
		defer unix.Close(fds[n])
	}
	kind, err := filesystemType(fds[1])
	if err != nil {
		return err
	}
	if slices.Contains(unfitForUpper, kind) {
		return ErrUnfit
	}
	fd, err := overlayMount(fds[:1], fds[1], fds[2], 0)
	if err != nil {
		if oldKernel(err) {
			return nil // such a kernel is asked in another way; the file system's kind is known to do
		}
		return err
	}
	return unix.Close(fd)
}

// ProbeIDMap tries whether the file system of dir can be mounted id-mapped with a
// user namespace. Errors: ErrNoIDMap, wrapped.
func ProbeIDMap(dir string, userNS *os.File) error {
	fd, err := cloneTree(unix.AT_FDCWD, dir, false)
	if err != nil {
		return fmt.Errorf("cannot clone the mount of %q: %w", dir, err)
	}
	defer unix.Close(fd)
	return idMapMount(fd, int(userNS.Fd()), false, dir)
}
