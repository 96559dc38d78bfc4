package runtime

import (
	"cmp"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Wait blocks until the process ends and reaps it. Only its parent, the caller of
// Exec, can. It closes PidFD.
func (p Process) Wait() (Exit, error) {
	if p.PidFD != nil {
		defer p.PidFD.Close()
	}
	proc, err := os.FindProcess(cmp.Or(p.Proxy, p.Pid))
	if err != nil {
		return Exit{}, fmt.Errorf("cannot wait for process %d: %w", p.Pid, err)
	}
	st, err := proc.Wait()
	if err != nil {
		return Exit{}, fmt.Errorf("cannot wait for process %d: %w", p.Pid, err)
	}
	exit := Exit{Code: st.ExitCode(), At: time.Now()}
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Code = 128 + int(ws.Signal())
	}
	return exit, nil
}
