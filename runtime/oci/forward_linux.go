package oci

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals to this process are meant for the container's. os/signal takes two changes
// of thread to catch each of them, more time for all than /bin/true runs; so the kernel
// calls onSignal, which passes the signal on without Go hearing of it. These variables
// are the handler's: like it, there is one per process.
var (
	forwardTo int32      = -1 // a pidfd that is never closed, -1 until there is one
	pending   [65]uint32      // by number

	onSignalPC, restorePC uintptr // where the assembly begins
)

// onSignal marks signal s as pending and, when forwardTo is set and the mark still
// stands, takes it back and sends s there. It is not to be called from Go.
//
//lint:ignore U1000 the kernel's
func onSignal()

// restore returns from a signal handler, where the kernel wants the program to say how.
//
//lint:ignore U1000 the kernel's
func restore()

// sigaction is the kernel's struct of that name.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// Flags of sigaction, from asm-generic/signal-defs.h and asm/signal.h.
const (
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
)

// forwarded are the signals that may be meant for a container. That the terminal has
// changed its size is the relay's to hear, where there is one.
func forwarded(relayed bool) []unix.Signal {
	all := []unix.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM,
		unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH,
	}
	if relayed {
		return all[:len(all)-1]
	}
	return all
}

// catchSignals keeps those that arrive from now on for forward.
func catchSignals(relayed bool) error {
	action := sigaction{handler: onSignalPC, flags: saOnStack | saRestart | saRestorer, restorer: restorePC}
	for _, s := range forwarded(relayed) {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		if errno != 0 {
			return fmt.Errorf("cannot catch %v: %w", s, errno)
		}
	}
	return nil
}

// forward passes on what was caught and what will be.
func forward(pidfd *os.File) error {
	fd, err := unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot pass signals on: %w", err)
	}
	atomic.StoreInt32(&forwardTo, int32(fd))
	for _, s := range forwarded(false) {
		if atomic.SwapUint32(&pending[s], 0) != 0 {
			unix.PidfdSendSignal(fd, s, nil, 0) // it may have ended
		}
	}
	return nil
}
