package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const execRounds = 20

// printExec compares `stack exec` of true with entering the same namespaces and
// executing the same program by hand.
func (s *stack) printExec(ctx context.Context, root string) error {
	var ours, floor []time.Duration
	pids := sleepers(s.mark)
	if len(pids) == 0 {
		return fmt.Errorf("no replica runs")
	}
	for range execRounds {
		took, err := s.timed(ctx, root, "exec", "-T", "s", "true")
		if err != nil {
			return err
		}
		ours = append(ours, took)
		begin := time.Now()
		if err := enterAndTrue(pids[0]); err != nil {
			return err
		}
		floor = append(floor, time.Since(begin))
	}
	fmt.Printf("\nexec of true in one of 50 replicas, median of %d: stack exec %.1f ms, raw setns + execve %.1f ms\n",
		execRounds, ms(median(ours)), ms(median(floor)))
	return nil
}

// enterAndTrue joins all namespaces of a process, runs true there and waits.
func enterAndTrue(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("cannot open a replica: %w", err)
	}
	defer unix.Close(pidfd)
	p, err := program("/bin/true")
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	kid, errno := forkAndEnter(uintptr(pidfd), p)
	if errno != 0 {
		return fmt.Errorf("cannot fork: %w", errno)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(kid), &status, 0, nil); err != nil {
		return os.NewSyscallError("wait4", err)
	}
	if status.ExitStatus() != 0 {
		return fmt.Errorf("cannot run true in a replica: exit status %d", status.ExitStatus())
	}
	return nil
}

// forkAndEnter forks a process that joins the namespaces, which takes a single
// thread, and forks again into the pid namespace. See cloneAndExec for its rules.
//
//go:noinline
//go:norace
//go:nocheckptr
func forkAndEnter(pidfd uintptr, p *clonedProgram) (pid uintptr, errno syscall.Errno) {
	all, old := ^uint64(0), uint64(0)
	status := &p.buf
	var kid uintptr
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
		return pid, errno
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETNS, pidfd, sixNamespaces, 0); errno != 0 {
		goto failed
	}
	if kid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0); errno != 0 {
		goto failed
	}
	if kid == 0 {
		syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
		syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(p.path)),
			uintptr(unsafe.Pointer(&p.argv[0])), uintptr(unsafe.Pointer(&p.envv[0])))
		goto failed
	}
	if _, _, errno = syscall.RawSyscall6(unix.SYS_WAIT4, kid, uintptr(unsafe.Pointer(status)), 0, 0, 0, 0); errno != 0 || status[0] != 0 || status[1] != 0 {
		goto failed
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
failed:
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 1, 0, 0)
	}
}
