package native

import (
	"context"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/rootfs"
)

// Rewrite gives files of a running container's Bundle new contents, and returns the
// targets of those that had others. Owner and mode stay. See rootfs.Rewrite.
func (r *Runtime) Rewrite(_ context.Context, id string, files []runtime.File) ([]string, error) {
	h, rec, err := r.recorded(id)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	namespace, err := openProc(rec.Pid, rec.StartTime, "ns/mnt", unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	return rootfs.Rewrite(namespace, files)
}
