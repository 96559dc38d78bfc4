package native

import (
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// lateNamespaces are made by the clone itself. A cgroup namespace's root would be
// the cgroup of the process that clones, not the one the clone is put into; an
// ipc namespace's files would belong to the host's root.
const lateNamespaces = unix.CLONE_NEWCGROUP | unix.CLONE_NEWIPC

// fork lets stage 1 clone the container's first process into its namespaces as
// a sibling, tell the creator and exit; the script goes on in the clone. cgroup,
// a descriptor of a v2 cgroup, may be -1.
func (b *builder) fork(control stub.Arg, fresh uintptr, cgroup int) {
	const do = "make namespaces"
	flags := uint64(fresh&^(lateNamespaces|unix.CLONE_NEWTIME)) | unix.CLONE_PARENT | unix.CLONE_PIDFD
	p, child, child2 := b.packet(msgForked), b.Slot(), b.Label()
	if cgroup < 0 {
		b.Call(do, unix.SYS_CLONE, stub.Int(flags|uint64(unix.SIGCHLD)), stub.Int(0), p.descriptor()).Into(child)
	} else {
		// struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal
		// (must be 0 with CLONE_PARENT), stack, stack_size, tls, set_tid,
		// set_tid_size, cgroup.
		args := b.Words(flags|unix.CLONE_INTO_CGROUP, uint64(p.descriptor()), 0, 0, 0, 0, 0, 0, 0, 0, uint64(cgroup))
		b.Call(do, unix.SYS_CLONE3, args, stub.Int(11*8)).Into(child)
	}
	b.If(child, stub.Int(0), child2)
	b.sendPacket(control, p)
	b.leave(stub.Int(0))
	b.Place(child2)
}

// leaveCreator takes what the process has of its creator's and what it forks is to
// have of its own: a session keyring, see leaveKeyring, and v1 cgroups.
func (b *builder) leaveCreator(keyring bool, tasks []string) {
	if !keyring {
		b.Call("make a session keyring", unix.SYS_KEYCTL, stub.Int(unix.KEYCTL_JOIN_SESSION_KEYRING), stub.Int(0)).
			Allow(unix.ENOSYS, unix.EPERM)
	}
	const do = "enter the cgroup"
	fd, self := b.Slot(), b.String("0")
	for _, file := range tasks {
		b.Call(do, unix.SYS_OPENAT, cwd, b.String(file), stub.Int(unix.O_WRONLY|unix.O_CLOEXEC)).Into(fd)
		b.Call(do, unix.SYS_WRITE, fd, self, stub.Int(1))
		b.Call(do, unix.SYS_CLOSE, fd)
	}
}

// enterCgroup moves the process into a v2 cgroup. It is for those that are about
// to join a user namespace, whose root may not clone into a cgroup of the host's;
// the others spare the kernel the move, which stalls all forks for a moment.
func (b *builder) enterCgroup(cgroup int) {
	const do = "enter the cgroup"
	fd := b.Slot()
	b.Call(do, unix.SYS_OPENAT, stub.Int(cgroup), b.String("cgroup.procs"), stub.Int(unix.O_WRONLY|unix.O_CLOEXEC)).Into(fd)
	b.Call(do, unix.SYS_WRITE, fd, b.String("0"), stub.Int(1))
	b.Call(do, unix.SYS_CLOSE, fd)
}

// reaper makes the process the container's init: it forks, and the script goes
// on in the child. The parent forwards signals, reaps, and exits as the child
// did. terminal makes the child the foreground job, so that it alone gets what
// is typed.
func (b *builder) reaper(terminal bool) {
	const do = "start the init process"
	all := b.Words(^uint64(0))
	child, childDoes := b.Slot(), b.Label()
	b.signalMask(all)
	b.prctl(do, unix.PR_SET_CHILD_SUBREAPER, stub.Int(1)) // with a shared pid namespace
	b.Call(do, unix.SYS_CLONE, stub.Int(unix.SIGCHLD), stub.Int(0), stub.Int(0), stub.Int(0), stub.Int(0)).Into(child)
	b.If(child, stub.Int(0), childDoes)
	b.ReportTo(stub.Int(-1))
	b.closeRange(do, 3, ^uint32(0), 0)
	b.reap(child, all)

	b.Place(childDoes)
	self := b.Slot()
	b.Call(do, unix.SYS_SETPGID, stub.Int(0), stub.Int(0))
	b.Call(do, unix.SYS_GETPID).Into(self)
	if terminal { // with SIGTTOU still blocked
		b.Call(do, unix.SYS_IOCTL, stub.Int(0), stub.Int(unix.TIOCSPGRP), stub.Addr(self))
	}
	b.signalMask(b.zeros)
}

// reap is the init's life.
func (b *builder) reap(child stub.Slot, all stub.Addr) {
	const do = "reap"
	signal, pid, status := b.Slot(), b.Slot(), b.Slot()
	wait, collect, decode, exited := b.Label(), b.Label(), b.Label(), b.Label()

	b.Place(wait)
	b.Call(do, unix.SYS_RT_SIGTIMEDWAIT, all, stub.Int(0), stub.Int(0), stub.Int(maskSize)).
		Into(signal).Allow(unix.EINTR, unix.EAGAIN).Else(wait)
	b.If(signal, stub.Int(unix.SIGCHLD), collect)
	b.Call(do, unix.SYS_KILL, child, signal).AllowAny()
	b.Jump(wait)

	b.Place(collect)
	b.Call(do, unix.SYS_WAIT4, stub.Int(-1), stub.Addr(status), stub.Int(unix.WNOHANG|unix.WALL), stub.Int(0)).
		Into(pid).Allow(unix.EINTR, unix.ECHILD).Else(wait)
	b.If(pid, child, decode)
	b.If(pid, stub.Int(0), wait)
	b.Jump(collect)

	b.Place(decode)
	b.IfBits(status, 0, 0x7f, stub.Int(0), exited)
	b.Compute(status, status, 0, 0x7f, stub.Int(128))
	b.leave(status)
	b.Place(exited)
	b.Compute(status, status, 8, 0xff, stub.Int(0))
	b.leave(status)
}
