// Package native runs containers with the kernel's own means: namespaces,
// cgroups, seccomp, and a first process that is not a program of the host.
//
// It may import runtime, runtime/statedir (the containers' directories) and its own
// sub-packages: stub (the first process), rootfs (mounts), cgroup (limits), seccomp
// (profiles). x/sys/unix appears only in _linux.go files.
//
// # Create
//
//	Bundle ─▶ validate ─▶ record the intent ─▶ cgroup ─▶ script ─▶ stub.ELF
//	  ─▶ fork the stub ─▶ handshake (below) ─▶ record the pid
//
// Where namespaces are joined, and for Exec, a throw-away thread enters them and the v1
// cgroups, and forks; else the stub enters the cgroups and no thread is thrown away.
// The creator forks the stub, which forks once more: into the new namespaces, as
// its own sibling (CLONE_PARENT), so that the container's first process is a
// child of the creator or, with Options.CloneParent, of the creator's parent.
// Two stages cost less than one: a fork of this program into a new user
// namespace copies its page tables, a fork of the stub copies seven pages; and
// cgroup v2 cannot be combined with CLONE_PARENT in one step of syscall.ForkExec.
// A stage that joins a user namespace enters its v2 cgroup before: the namespace's
// root may not.
// With CloneParent the parent has one more short-lived child to reap.
//
// # The handshake
//
// One SOCK_SEQPACKET pair; 8 bytes a message, 16 for a failure (stub.Failure),
// after which the stub exits. Each end takes the other's death for the end.
//
//	creator                          stub
//	                           ◀──   forked [pidfd]   stage 1, which then exits
//	  writes the id maps
//	mapped                     ──▶   stage 2: ids, cgroup namespace
//	                           ◀──   mount KIND [fd]  proc, sysfs, …: only a process
//	                                 inside the namespaces can make these
//	                           ◀──   ready
//	  Bundle.Attach while rootfs.Build works, Bundle.Adopt, the record
//	go [terminal]              ──▶   terminal, host name, sysctls
//	                           ◀──   created, closes the pair
//
// # Start
//
// The stub then accepts on start.sock in the container's record, whose
// descriptor it inherited, so that any later process can start it:
//
//	starter                          stub
//	connect                    ──▶   accept
//	one byte                   ──▶   (end of file instead: back to accept)
//	                           ◀──   failure, or the end of file by execve(2)
//
// # Who may be killed
//
// A thread of this program may stand in the container's cgroup while it forks.
// Whoever kills or freezes that cgroup takes the container's lock exclusively,
// Create holds it exclusively and Exec shared, or the cgroup's kill would be ours.
//
// Processes are forked with syscall.ForkExec only: the os package's first use
// forks a probe, which would become pid 1 of a joined, empty pid namespace.
//
// Not here: AppArmor and SELinux labels, Intel RDT, network devices moved by name.
// A specification that asks for them is refused.
package native
