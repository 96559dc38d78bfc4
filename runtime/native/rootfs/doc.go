// Package rootfs makes a container's root file system inside the mount
// namespace of the container's first process, from outside: the creator runs
// ordinary Go with the host's privileges while that process waits.
//
// It may import runtime (types), x/sys/unix (in _linux.go files) and nothing
// else of ours.
//
// Data flow of Build:
//
//	Setup ── prepare ──▶ detached mounts ── join ──▶ attached tree ── pivot ──▶ masks
//	         (host's mount namespace:        (a throw-away thread in the container's
//	          overlays, bind sources)         mount namespace)
//
// Everything goes from descriptor to descriptor (fsopen, open_tree, move_mount,
// mount_setattr). A path inside the root is resolved with
// openat2(RESOLVE_IN_ROOT), or created component by component below a
// descriptor; no link of an image or a volume leads out of the root.
//
// Ids: with a user namespace, read-only layers are id-mapped through it (they
// hold container ids, 0-based, on disk), upper directories hold the host ids of
// the container's range. The thread that attaches creates as the host id of the
// container's root, so what it makes belongs to the container.
//
// The thread's change of its file system uid makes the whole process
// non-dumpable (commit_creds in the kernel) from the first Build with a user
// namespace on. For a process that runs as root nothing else changes.
//
// Kernels: written for 5.12 (mount_setattr); overlays take descriptors from
// 6.15 on and go through a scratch directory in the container's own mount
// namespace before.
package rootfs
