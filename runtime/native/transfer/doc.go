// Package transfer copies files into and out of a container's file system, which
// is not trusted: whoever runs inside may change any of it at any moment.
//
// It may import runtime/native/rootfs and x/sys/unix (in _linux.go files).
//
//	source Root ── Pack ──▶ tar stream ── Unpack ──▶ Target in a Root
//
// A Root is an open directory that nothing leads out of. A path that a person
// names is resolved in it with openat2(RESOLVE_IN_ROOT), following links as a
// process confined to the root would. Below that point no link is followed at
// all, neither in what is read nor in where is written; only regular files are
// opened for their content, so a FIFO or device cannot hold up the copy.
//
// In the stream ids are the container's. Files are written as the root of the
// container's user namespace, or with the stream's ids mapped into its range.
// Out on the host set-id bits are dropped and device nodes are left out: they
// would be a gift from the container to the host's users.
//
// Sync makes paths of a container what they are on the host: in place, so that the
// inode stays.
package transfer
