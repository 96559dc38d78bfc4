package native

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// maxHookState is what a pipe takes without a reader.
const maxHookState = 64 << 10

// startHooks are the startContainer hooks: children of the first process, with
// what it will have itself. state is their input.
func (b *builder) startHooks(hooks []specs.Hook, state []byte) {
	for _, h := range hooks {
		b.startHook(h, state)
	}
}

func (b *builder) startHook(h specs.Hook, state []byte) {
	do := fmt.Sprintf("run startContainer hook %q", h.Path)
	ends := b.Bytes(make([]byte, 8)) // of a pipe: two numbers of 32 bits
	in, out, child, status := b.Slot(), b.Slot(), b.Slot(), b.Slot()
	childDoes, fine := b.Label(), b.Label()
	b.Call(do, unix.SYS_PIPE2, ends, stub.Int(unix.O_CLOEXEC))
	b.Compute(in, stub.Slot(ends), 0, 1<<32-1, stub.Int(0))
	b.Compute(out, stub.Slot(ends), 32, 1<<32-1, stub.Int(0))
	b.Call(do, unix.SYS_WRITE, out, b.Bytes(state), stub.Int(len(state)))
	b.Call(do, unix.SYS_CLOSE, out)
	b.Call(do, unix.SYS_CLONE, stub.Int(unix.SIGCHLD), stub.Int(0), stub.Int(0), stub.Int(0), stub.Int(0)).Into(child)
	b.If(child, stub.Int(0), childDoes)
	b.Call(do, unix.SYS_CLOSE, in)
	again := b.Here()
	b.Call(do, unix.SYS_WAIT4, child, stub.Addr(status), stub.Int(unix.WALL), stub.Int(0)).Allow(unix.EINTR).Else(again)
	b.If(status, stub.Int(0), fine)
	b.Fail(do, stub.Int(-int64(unix.ECANCELED)), 1)

	b.Place(childDoes)
	b.ReportTo(stub.Int(-1)) // the parent reports
	b.Call(do, unix.SYS_DUP3, in, stub.Int(0), stub.Int(0))
	if h.Timeout != nil { // survives execve(2), and its signal kills
		timer := b.Words(0, 0, uint64(*h.Timeout), 0)
		b.Call(do, unix.SYS_SETITIMER, stub.Int(unix.ITIMER_REAL), timer, stub.Int(0))
	}
	b.Call(do, unix.SYS_EXECVE, b.String(h.Path), b.Strings(hookArgs(h)), b.Strings(h.Env)).Exit(exitMissing)
	b.Place(fine)
}
