package rootfs

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// peerSource splits a bind source of the form /proc/PID/root/PATH: what another
// container has at PATH.
func peerSource(source string) (pid int, inside string, ok bool) {
	parts := strings.SplitN(path.Clean(source), "/", 5)
	if len(parts) < 5 || parts[0] != "" || parts[1] != "proc" || parts[3] != "root" {
		return 0, "", false
	}
	pid, err := strconv.Atoi(parts[2])
	return pid, parts[4], err == nil && pid > 0
}

// cloneInside makes a detached copy of the mount at inside, as process pid sees
// it. No link is followed: the container's processes may have put one there. The
// kernel copies only mounts of the namespace that the caller is in, so a thread
// goes there.
func cloneInside(pid int, inside string, recursive bool) (int, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	root, err := openat(unix.AT_FDCWD, proc+"/root", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	namespace, err := openat(unix.AT_FDCWD, proc+"/ns/mnt", unix.O_RDONLY, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open its mount namespace: %w", err)
	}
	defer unix.Close(namespace)
	there, err := inRoot(root, inside, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, err
	}
	defer unix.Close(there)
	fd := -1
	err = throwAway(func() error {
		if err := join(namespace); err != nil {
			return err
		}
		fd, err = cloneTree(there, "", recursive)
		return err
	})
	return fd, err
}
