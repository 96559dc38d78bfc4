package native

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"stack/runtime/native/stub"
)

// stubProcess is a stub to be forked.
type stubProcess struct {
	image []byte
	dirs  []string   // where to put it if not in memory
	files []*os.File // its descriptors from 0 on
	attr  syscall.SysProcAttr
	// alone says that the stub inherits nothing from the thread that forks and does
	// by itself what the next two say. It spares that thread.
	alone bool
	// keyring leaves the caller's session keyring.
	keyring bool
	// prepare runs on the thread that forks, for what a child inherits.
	prepare func() error
}

// fork starts the stub. The pidfd is the caller's to close, and a zombie that of
// the process's parent to reap.
func (p stubProcess) fork() (pid int, pidfd *os.File, err error) {
	if p.alone {
		return p.forkHere()
	}
	err = throwAway(func() (err error) {
		pid, pidfd, err = p.forkHere()
		return err
	})
	return pid, pidfd, err
}

// forkHere is fork on the calling thread, which must be one to be thrown away unless
// the stub is alone.
func (p stubProcess) forkHere() (int, *os.File, error) {
	image, err := stub.Open(p.image, p.dirs...)
	if err != nil {
		return 0, nil, fmt.Errorf("cannot make the container's first program: %w", err)
	}
	defer image.Close()
	number, err := aboveAll(image, p.files)
	if err != nil {
		return 0, nil, err
	}
	defer unix.Close(number)
	fds := make([]uintptr, len(p.files))
	for i, f := range p.files {
		fds[i] = f.Fd() // blocking from now on, as programs expect
	}
	pidfd := -1
	p.attr.PidFD = &pidfd
	if !p.keyring && !p.alone {
		if err := leaveKeyring(); err != nil {
			return 0, nil, err
		}
	}
	if p.prepare != nil && !p.alone {
		if err := p.prepare(); err != nil {
			return 0, nil, err
		}
	}
	pid, err := syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", number), []string{"stack-init"},
		&syscall.ProcAttr{Files: fds, Sys: &p.attr})
	if err != nil {
		return 0, nil, fmt.Errorf("cannot fork the container's process: %w", err)
	}
	return pid, os.NewFile(uintptr(pidfd), "pidfd"), nil
}

// aboveAll duplicates image to a number that the child, which moves files to 0
// and up by way of numbers above them, does not reuse before its execve.
func aboveAll(image *os.File, files []*os.File) (int, error) {
	highest := len(files)
	for _, f := range files {
		raw, err := rawFD(f)
		if err != nil {
			return 0, err
		}
		highest = max(highest, int(raw))
	}
	number, err := unix.FcntlInt(image.Fd(), unix.F_DUPFD_CLOEXEC, highest+len(files)+2)
	if err != nil {
		return 0, fmt.Errorf("cannot duplicate a descriptor: %w", err)
	}
	return number, nil
}

// rawFD is f.Fd() without making the file blocking for all who share it.
func rawFD(f *os.File) (uintptr, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var number uintptr
	err = raw.Control(func(fd uintptr) { number = fd })
	return number, err
}

// leaveKeyring gives the thread an empty session keyring instead of the caller's,
// whose keys a container would possess. It is the host root's: a container range
// would soon have used up its quota.
func leaveKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("cannot make a session keyring: %w", err)
	}
	return nil
}
