// Package cgroup limits, counts, freezes, kills and removes the processes of
// one container through control groups: version 1, hybrid and version 2, chosen
// by what the machine has mounted.
//
// It imports nothing of ours, and no library for
// cgroups or BPF: it is linked into the lean binary, where those cost more before
// main than a container costs altogether. Statistics are read by native/metrics.
//
// # Flow
//
//	specs.LinuxResources ── planV1 | planV2 (pure) ──▶ plan ── apply ──▶ control files
//	/proc/self/{mountinfo,cgroup} ── detect (pure) ──▶ Host ── Create ──▶ Group
//
// plan_v1.go, plan_v2.go, device.go and setting.go compute; the _linux.go files
// read and write. v1_*.go and v2_*.go implement the interface tree for the two
// versions.
//
// # Where a group lives
//
// A path such as /stack/PROJECT/ID is relative to the root of each mount, never
// to the group of this process: inside a cgroup namespace or a nested container
// the mount's root is all there is.
//
//	version 1   MOUNT/stack/PROJECT/ID in cpu, cpuacct, memory, pids, blkio,
//	            devices, freezer and name=systemd, always: a directory and an
//	            Enter cost 25 µs each (memory: 110 µs) and every one of them is
//	            needed to count, kill, pause or fence a container. cpuset,
//	            hugetlb, net_cls, net_prio and rdma only when limited, then or
//	            by a later Update, which moves the processes over.
//	version 2   one directory; cpu, memory, pids and io are enabled on the way
//	            down, the others when limited.
//	hybrid      like version 1: systemd's unified tree has no controller that
//	            matters. Only CreateDetached enters it.
//
// # Getting a process in
//
// Version 1: Enter, from a locked thread that is thrown away after it forked.
// Version 2: clone with the descriptor of Dir (CLONE_INTO_CGROUP), then unshare
// the cgroup namespace in the child: CLONE_NEWCGROUP in the same clone would
// make the parent's group its root. A caller does both, whatever the version:
// Enter does nothing on version 2 and Dir returns nil on version 1.
//
// Directories of /stack disappear with their last group; others' parents stay.
package cgroup
