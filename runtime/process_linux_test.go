package runtime

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A signal goes to the process that was executed and never to one that has its pid.
func TestKillGoesByDescriptor(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := os.Getpid() // as if the pid had been given away
	p := Process{Pid: other, PidFD: os.NewFile(uintptr(fd), "pidfd")}
	if err := p.Kill(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Pid = cmd.Process.Pid
	exit, err := p.Wait()
	if err != nil || exit.Code != 128+int(syscall.SIGKILL) {
		t.Errorf("%+v, %v", exit, err)
	}
	p.Pid = other
	if err := p.Kill(syscall.SIGKILL); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after its end: %v", err)
	}
}
