package native

import (
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// affinity lets the process run on the processors of mask only.
func (b *builder) affinity(mask []byte) {
	if mask != nil {
		b.Call("set the CPU affinity", unix.SYS_SCHED_SETAFFINITY, stub.Int(0), stub.Int(len(mask)), b.Bytes(mask))
	}
}

// tune applies what is inherited by the program, while the capabilities for it are
// still there.
func (b *builder) tune(t tuning) {
	if t.domain != nil {
		b.Call("set the personality", unix.SYS_PERSONALITY, stub.Int(*t.domain))
	}
	if t.policy != nil {
		b.Call("set the memory policy", unix.SYS_SET_MEMPOLICY, stub.Int(t.policy.mode),
			b.Bytes(t.policy.nodes), stub.Int(8*len(t.policy.nodes)+1)) // the kernel takes one less
	}
	if t.ioPriority != 0 {
		const process = 1
		b.Call("set the I/O priority", unix.SYS_IOPRIO_SET, stub.Int(process), stub.Int(0), stub.Int(t.ioPriority))
	}
	if t.scheduler != nil {
		b.Call("set the scheduler", unix.SYS_SCHED_SETATTR, stub.Int(0), b.Bytes(t.scheduler), stub.Int(0))
	}
	b.affinity(t.second)
}

// enterTime makes or joins a time namespace. Only a process without threads may,
// and the offsets must be there before the first one that is born in it.
func (b *builder) enterTime(c creation) {
	switch {
	case c.timePath != "":
		const do = "join the time namespace"
		fd := b.Slot()
		b.Call(do, unix.SYS_OPENAT, cwd, b.String(c.timePath), stub.Int(unix.O_RDONLY|unix.O_CLOEXEC)).Into(fd)
		b.Call(do, unix.SYS_SETNS, fd, stub.Int(unix.CLONE_NEWTIME))
		b.Call(do, unix.SYS_CLOSE, fd)
	case c.fresh&unix.CLONE_NEWTIME != 0:
		b.Call("make a time namespace", unix.SYS_UNSHARE, stub.Int(unix.CLONE_NEWTIME))
		if c.timeOffsets == "" {
			return
		}
		const do = "set the offsets of the clocks"
		fd := b.Slot()
		b.Call(do, unix.SYS_OPENAT, cwd, b.String("/proc/self/timens_offsets"), stub.Int(unix.O_WRONLY|unix.O_CLOEXEC)).Into(fd)
		b.Call(do, unix.SYS_WRITE, fd, b.String(c.timeOffsets), stub.Int(len(c.timeOffsets)))
		b.Call(do, unix.SYS_CLOSE, fd)
	}
}
