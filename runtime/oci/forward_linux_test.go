package oci

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Each signal is passed on once, whether it came before there was a process or after.
// What is tested belongs to a process as a whole: it is one of its own.
func TestForward(t *testing.T) {
	out, err := exec.Command("/proc/self/exe", "oci-forward").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// forwardToShell is that process.
func forwardToShell() error {
	goruntime.LockOSThread()
	if err := catchSignals(false); err != nil {
		return err
	}
	early := slices.DeleteFunc(forwarded(false), func(s unix.Signal) bool { return s == unix.SIGCONT }) // the kernel drops it for SIGTSTP
	for _, s := range slices.Concat(early, early) {                                                     // the second finds the first pending
		raise(s)
	}
	shell, heard, err := trapAll()
	if err != nil {
		return err
	}
	defer shell.Wait()
	defer shell.Process.Kill()
	fd, err := unix.PidfdOpen(shell.Process.Pid, 0)
	if err != nil {
		return err
	}
	if err := forward(os.NewFile(uintptr(fd), "pidfd")); err != nil {
		return err
	}
	caught := map[string]bool{}
	for range early {
		caught[heard()] = true
	}
	if len(caught) != len(early) || caught["nothing"] {
		return fmt.Errorf("caught before: %v", caught)
	}
	for _, s := range forwarded(false) {
		raise(s)
		if got, want := heard(), strings.TrimPrefix(unix.SignalName(s), "SIG"); got != want {
			return fmt.Errorf("%s was passed on as %q", want, got)
		}
	}
	return nil
}

// raise sends this thread a signal, which arrives before it returns.
func raise(s unix.Signal) { unix.Tgkill(unix.Getpid(), unix.Gettid(), s) }

// trapAll starts a shell that tells the name of each signal it gets.
func trapAll() (shell *exec.Cmd, heard func() string, err error) {
	shell = exec.Command("sh", "-c", `for s in HUP INT TERM QUIT USR1 USR2 ALRM CONT TSTP TTIN TTOU WINCH; do trap "echo $s" $s; done
		echo ready; while sleep 0.01; do :; done`)
	time.AfterFunc(30*time.Second, func() { shell.Process.Kill() })
	out, err := shell.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, nil, err
	}
	lines := bufio.NewReader(out)
	heard = func() string {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return "nothing"
		}
		return strings.TrimSpace(line)
	}
	if got := heard(); got != "ready" {
		return nil, nil, fmt.Errorf("the shell said %q", got)
	}
	return shell, heard, nil
}
