package main

import "golang.org/x/sys/unix"

// hideUnified takes cgroup v2 away from beside v1, in this program's own mounts: crun
// refuses both together.
func hideUnified() {
	_ = unix.Unmount("/sys/fs/cgroup/unified", unix.MNT_DETACH) // elsewhere there is none
}
