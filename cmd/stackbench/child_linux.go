package main

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cloneAndExec clones; the copy never returns. It runs on a copy of one thread of
// a Go program: nothing there may allocate, grow the stack or be preempted, so it
// makes raw system calls only, with all signals blocked.
//
//go:noinline
//go:norace
//go:nocheckptr
func cloneAndExec(args *cloneArgs, p *clonedProgram) (pid uintptr, errno syscall.Errno) {
	all, old := ^uint64(0), uint64(0)
	var step uintptr
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno != 0 || pid != 0 {
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
		return pid, errno
	}

	// Another child's pipe must not stay open here until this one executes.
	step = 1
	if _, _, errno = syscall.RawSyscall(unix.SYS_DUP3, p.gate, fdGate, 0); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_DUP3, p.fate, fdFate, unix.O_CLOEXEC); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_DUP3, p.tree, fdTree, unix.O_CLOEXEC); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_CLOSE_RANGE, 3, fdGate-1, 0); errno != 0 {
		goto failed
	}
	step = 2
	if n, _, e := syscall.RawSyscall(unix.SYS_READ, fdGate, uintptr(unsafe.Pointer(&p.buf)), 1); n != 1 {
		errno = e
		goto failed
	}
	syscall.RawSyscall(unix.SYS_CLOSE, fdGate, 0, 0)

	// The root; while this is still the host's root to the file system.
	step = 3
	if _, _, errno = syscall.RawSyscall6(unix.SYS_MOVE_MOUNT, fdTree, uintptr(unsafe.Pointer(p.empty)), atFDCWD,
		uintptr(unsafe.Pointer(p.slash)), unix.MOVE_MOUNT_F_EMPTY_PATH, 0); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_FCHDIR, fdTree, 0, 0); errno != 0 {
		goto failed
	}
	step = 4
	if _, _, errno = syscall.RawSyscall(unix.SYS_PIVOT_ROOT, uintptr(unsafe.Pointer(p.dot)), uintptr(unsafe.Pointer(p.dot)), 0); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_UMOUNT2, uintptr(unsafe.Pointer(p.dot)), unix.MNT_DETACH, 0); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(p.slash)), 0, 0); errno != 0 {
		goto failed
	}

	// The container's root user, or execve would drop every capability.
	step = 5
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETRESGID, 0, 0, 0); errno != 0 {
		goto failed
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETRESUID, 0, 0, 0); errno != 0 {
		goto failed
	}

	step = 6
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)),
		uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.envv[0])))
failed:
	p.buf[0], p.buf[1] = byte(step), byte(errno)
	syscall.RawSyscall(unix.SYS_WRITE, fdFate, uintptr(unsafe.Pointer(&p.buf)), 2)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
}

// atFDCWD is AT_FDCWD as a register holds it.
const atFDCWD = ^uintptr(99)
