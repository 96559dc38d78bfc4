package native

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/rootfs"
)

// Rewrite gives files of a running container's Bundle new contents, and returns the
// targets of those that had others. Owner and mode stay. See rootfs.Rewrite.
func (r *Runtime) Rewrite(_ context.Context, id string, files []runtime.File) ([]string, error) {
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
	namespace, err := openProc(rec.Pid, rec.StartTime, "ns/mnt", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	return rootfs.Rewrite(namespace, files)
}
