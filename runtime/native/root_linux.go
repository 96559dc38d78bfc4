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
	return r.tree(id, func(rec *record) (*os.File, error) {
		return rec.openProc("root", unix.O_PATH|unix.O_DIRECTORY)
	})
}

// Bare opens it as Root does, without what is mounted below "/".
func (r *Runtime) Bare(_ context.Context, id string) (*transfer.Root, error) {
	return r.tree(id, func(rec *record) (*os.File, error) {
		namespace, err := rec.openProc("ns/mnt", unix.O_RDONLY)
		if err != nil {
			return nil, err
		}
		defer namespace.Close()
		return rootfs.Bare(namespace)
	})
}

func (r *Runtime) tree(id string, open func(*record) (*os.File, error)) (*transfer.Root, error) {
	h, err := r.open(id)
	if err != nil {
		return nil, err
	}
	defer h.close()
	rec, err := h.read()
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	root, err := open(rec)
	if err != nil {
		return nil, fmt.Errorf("cannot open the root of container %s: %w", id, err)
	}
	if !rec.UserNS {
		return transfer.NewRoot(root, nil, nil), nil
	}
	return transfer.NewRoot(root, rec.UIDs, rec.GIDs), nil
}

// openProc opens a file that the kernel keeps of the container's first process.
func (rec *record) openProc(name string, flags int) (*os.File, error) {
	pidfd, err := openProcess(rec.Pid, rec.StartTime)
	if err != nil {
		return nil, err
	}
	defer pidfd.Close()
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/%s", rec.Pid, name), flags|unix.O_CLOEXEC, 0)
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
