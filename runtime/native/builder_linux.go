package native

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// builder writes a script. The files script_*_linux.go add what their names say.
type builder struct {
	stub.Script
	zeros stub.Addr // 64 zero bytes: an empty signal mask, a default sigaction
	word  stub.Addr // 8 bytes to read into
}

func newBuilder() *builder {
	b := &builder{}
	b.zeros = b.Bytes(make([]byte, 64))
	b.word = b.Bytes(make([]byte, 8))
	return b
}

const (
	maskSize = 8 // of a kernel sigset_t
	cwd      = stub.Int(unix.AT_FDCWD)
)

// prctl adds prctl(2) with up to two arguments.
func (b *builder) prctl(do string, option int, args ...stub.Arg) stub.Call {
	all := append([]stub.Arg{stub.Int(option)}, args...)
	return b.Call(do, unix.SYS_PRCTL, all...) // the rest is zero
}

// beginning resets what execve(2) inherits: the name, descriptors, signals. Of
// the descriptors those below own stay open for the user's program, those below
// end for the stub alone.
func (b *builder) beginning(own, end int) {
	b.prctl("set the process's name", unix.PR_SET_NAME, b.String("stack-init"))
	b.closeRange("close what was inherited", end, ^uint32(0), 0)
	b.closeRange("mark descriptors close-on-exec", own, ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	b.resetSignals()
	b.signalMask(b.zeros)
}

// resetSignals gives all signals their default actions. Only SIGKILL and SIGSTOP
// are refused, and all by a seccomp filter that does not know the system call.
func (b *builder) resetSignals() {
	number := b.Slot()
	again, done := b.Here(), b.Label()
	b.Compute(number, number, 0, ^uint64(0), stub.Int(1))
	b.If(number, stub.Int(65), done)
	b.Call("reset signals", unix.SYS_RT_SIGACTION, number, b.zeros, stub.Int(0), stub.Int(maskSize)).AllowAny()
	b.Jump(again)
	b.Place(done)
}

func (b *builder) closeRange(do string, first int, last uint32, flags int) {
	b.Call(do, unix.SYS_CLOSE_RANGE, stub.Int(first), stub.Int(last), stub.Int(flags))
}

func (b *builder) signalMask(set stub.Addr) stub.Call {
	return b.Call("set the signal mask", unix.SYS_RT_SIGPROCMASK, stub.Int(unix.SIG_SETMASK), set, stub.Int(0), stub.Int(maskSize))
}

// hide keeps other processes, of the container above all, from reading this one.
func (b *builder) hide() {
	b.prctl("become non-dumpable", unix.PR_SET_DUMPABLE, stub.Int(0))
}

// becomeRoot takes the ids of the user namespace's root.
func (b *builder) becomeRoot() {
	const do = "become root of the user namespace"
	b.Call(do, unix.SYS_SETGROUPS, stub.Int(0), stub.Int(0))
	b.Call(do, unix.SYS_SETRESGID, stub.Int(0), stub.Int(0), stub.Int(0))
	b.Call(do, unix.SYS_SETRESUID, stub.Int(0), stub.Int(0), stub.Int(0))
	b.hide() // a change of ids resets it to fs.suid_dumpable
}

// leave ends the stub.
func (b *builder) leave(status stub.Arg) {
	b.Call("exit", unix.SYS_EXIT_GROUP, status)
}

// packet is a message with room for one descriptor.
type packet struct {
	header, rights, body stub.Addr
}

// packet lays out a msghdr, its iovec and a control message of one descriptor.
func (b *builder) packet(m message) packet {
	le := binary.LittleEndian
	rights := le.AppendUint64(nil, uint64(unix.CmsgLen(4)))
	rights = le.AppendUint32(rights, unix.SOL_SOCKET)
	rights = le.AppendUint32(rights, unix.SCM_RIGHTS)
	rights = le.AppendUint64(rights, 0) // the descriptor
	p := packet{rights: b.Bytes(rights), body: b.Words(uint64(m))}
	iovec := b.Words(uint64(p.body), messageSize)
	p.header = b.Words(0, 0, uint64(iovec), 1, uint64(p.rights), uint64(len(rights)), 0)
	return p
}

// descriptor is where the packet's descriptor is put, and taken from.
func (p packet) descriptor() stub.Addr { return p.rights + 16 }

// send sends a message without a descriptor. The other end's death ends us.
func (b *builder) send(fd stub.Arg, m message) {
	b.Call("talk to the creator", unix.SYS_SENDTO, fd, b.Bytes(m.bytes()), stub.Int(messageSize),
		stub.Int(unix.MSG_NOSIGNAL), stub.Int(0), stub.Int(0))
}

func (b *builder) sendPacket(fd stub.Arg, p packet) {
	b.Call("talk to the creator", unix.SYS_SENDMSG, fd, p.header, stub.Int(unix.MSG_NOSIGNAL))
}

// await reads one message of length size and exits silently at the end of file:
// the creator is dead.
func (b *builder) await(fd stub.Arg) {
	n, more := b.Slot(), b.Label()
	again := b.Here()
	b.Call("wait for the creator", unix.SYS_READ, fd, b.word, stub.Int(messageSize)).
		Into(n).Allow(unix.EINTR).Else(again)
	b.If(n, stub.Int(messageSize), more)
	b.leave(stub.Int(1))
	b.Place(more)
}

// awaitPacket is await for a message that may carry a descriptor.
func (b *builder) awaitPacket(fd stub.Arg, p packet) {
	n, more := b.Slot(), b.Label()
	again := b.Here()
	b.Call("wait for the creator", unix.SYS_RECVMSG, fd, p.header, stub.Int(unix.MSG_CMSG_CLOEXEC)).
		Into(n).Allow(unix.EINTR).Else(again)
	b.If(n, stub.Int(messageSize), more)
	b.leave(stub.Int(1))
	b.Place(more)
}
