package native

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/rootfs"
	"stack/runtime/native/transfer"
)

// Root opens the file system that a container's first process sees, mounts
// included, also while it is paused or waits to be started.
// Errors: ErrNotFound, ErrNotRunning.
func (r *Runtime) Root(_ context.Context, id string) (*transfer.Root, error) {
	return r.tree(id, openRoot)
}

// Bare opens it as Root does, without what is mounted below "/".
func (r *Runtime) Bare(_ context.Context, id string) (*transfer.Root, error) {
	return r.tree(id, openBare)
}

func openRoot(pid int, start uint64) (*os.File, error) {
	return openProc(pid, start, "root", unix.O_PATH|unix.O_DIRECTORY)
}

func openBare(pid int, start uint64) (*os.File, error) {
	namespace, err := openProc(pid, start, "ns/mnt", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	return rootfs.Bare(namespace)
}

func (r *Runtime) tree(id string, open func(pid int, start uint64) (*os.File, error)) (*transfer.Root, error) {
	h, rec, err := r.recorded(id)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	root, err := open(rec.Pid, rec.StartTime)
	if err != nil {
		return nil, fmt.Errorf("cannot open the root of container %s: %w", id, err)
	}
	if !rec.UserNS {
		return transfer.NewRoot(root, nil, nil), nil
	}
	return transfer.NewRoot(root, rec.UIDs, rec.GIDs), nil
}

// openProc opens a file that the kernel keeps of a container's first process.
func openProc(pid int, start uint64, name string, flags int) (*os.File, error) {
	pidfd, err := openProcess(pid, start)
	if err != nil {
		return nil, err
	}
	defer pidfd.Close()
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/%s", pid, name), flags|unix.O_CLOEXEC, 0)
	if ended(pidfd) { // what was opened may be another process's
		if err == nil {
			unix.Close(fd)
		}
		return nil, runtime.ErrNotRunning
	}
	if errors.Is(err, unix.ENOENT) {
		err = runtime.ErrNotRunning
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
