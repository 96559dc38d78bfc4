package runtime

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kill sends a signal to the process: through PidFD, since another may have its pid by
// now. It may be called beside Wait. Errors: ErrNotRunning.
func (p Process) Kill(sig syscall.Signal) error {
	if p.PidFD == nil {
		return fmt.Errorf("cannot signal process %d: %w", p.Pid, ErrNotRunning)
	}
	conn, err := p.PidFD.SyscallConn()
	var sent error
	if err == nil {
		err = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	}
	if err != nil || errors.Is(sent, unix.ESRCH) { // Wait has closed it
		return fmt.Errorf("cannot signal process %d: %w", p.Pid, ErrNotRunning)
	}
	if sent != nil {
		return fmt.Errorf("cannot signal process %d: %w", p.Pid, sent)
	}
	return nil
}
