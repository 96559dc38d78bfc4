package parent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	word        = "be-a-parent"
	programWord = "be-a-program"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == word {
		os.Exit(Main(os.Args[2:]))
	}
	if len(os.Args) > 4 && os.Args[1] == programWord {
		os.Exit(leave(os.Args[2], os.Args[3], os.Args[4]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each of them ends a second late
	os.Exit(m.Run())
}

// leave runs a script that nobody waits for, writes its pid to a file, and returns
// when the script has ended if late says so.
func leave(script, late, file string) int {
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", script}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &pidfd}})
	if err == nil {
		err = os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o600)
	}
	if err != nil {
		return 1
	}
	if late == "late" {
		unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
	}
	return 0
}

func TestArgs(t *testing.T) {
	for _, stays := range []bool{false, true} {
		got, err := parse(Args("/p", 5, stays, []string{"/bin/runc", "--root", "x"}))
		if want := (options{"/p", 5, stays, []string{"/bin/runc", "--root", "x"}}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	for _, bad := range [][]string{nil, {"--pid-file", "/p", "--"}, {"--files", "2", "--pid-file", "/p", "--", "x"}, {"--", "x"}, {"--nothing"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("parsed %q", bad)
		}
	}
}

// parentOf runs a parent whose program is argv and the pid file's name, and returns
// what it told: the process's pid, a pidfd of it, or 0.
func parentOf(t *testing.T, stays bool, argv ...string) (cmd *exec.Cmd, pid int, pidfd *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "socket")
	file := filepath.Join(t.TempDir(), "pid")
	cmd = exec.Command("/proc/self/exe", append([]string{word}, Args(file, 3, stays, append(argv, file))...)...)
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	defer unix.Close(fds[0])
	text, rights := make([]byte, 32), make([]byte, unix.CmsgSpace(4))
	n, oob, _, _, err := unix.Recvmsg(fds[0], text, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return cmd, 0, nil
	}
	messages, err := unix.ParseSocketControlMessage(rights[:oob])
	if err != nil {
		t.Fatal(err)
	}
	passed, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	if pid, err = strconv.Atoi(string(text[:n])); err != nil {
		t.Fatal(err)
	}
	return cmd, pid, os.NewFile(uintptr(passed[0]), "pidfd")
}

// The parent ends as the process does that its program left alone, also one that
// ended before the program did.
func TestCodes(t *testing.T) {
	for script, want := range map[string]int{
		"exit 0": 0, "exit 7": 7, "sleep 0.05; exit 255": 255, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9,
	} {
		for _, late := range []string{"late", "at once"} {
			cmd, pid, pidfd := parentOf(t, false, "/proc/self/exe", programWord, script, late)
			if pid == 0 {
				t.Fatalf("%s, %s: told nothing", script, late)
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != want {
				t.Errorf("%s, %s: got %d, want %d", script, late, got, want)
			}
			fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
			if n, err := unix.Poll(fds, 1000); n != 1 {
				t.Errorf("%s, %s: the pidfd does not tell the end (%v)", script, late, err)
			}
			pidfd.Close()
		}
	}
}

// A program that stays is the process, however soon it ends; without its own pid in the
// file it has failed.
func TestStays(t *testing.T) {
	for script, want := range map[string]int{
		"echo $$ >$1; exit 6": 6, "sleep 0.01; echo $$ >$1; sleep 0.05; exit 7": 7, "printf 1 >$1; sleep 0.01; echo $$ >$1; kill -9 $$": 128 + 9,
		"exit 0": Failed, "echo 1 >$1; exit 3": Failed,
	} {
		cmd, pid, pidfd := parentOf(t, true, "/bin/sh", "-c", script, "sh")
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != want || (pid == 0) != (want == Failed) {
			t.Errorf("%s: got process %d, code %d, want code %d", script, pid, got, want)
		}
		pidfd.Close()
	}
}

// What a program leaves that fails is no orphan of others.
func TestFailedLeavesNobody(t *testing.T) {
	cmd, pid, _ := parentOf(t, false, "/bin/sh", "-c", "sleep 1000 & echo $! >$1; exit 3", "sh")
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); pid != 0 || got != Failed {
		t.Errorf("got process %d, code %d", pid, got)
	}
	b, err := os.ReadFile(cmd.Args[3])
	if err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(left, 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v", left, err)
	}
}

func TestFailures(t *testing.T) {
	for _, script := range []string{"exit 4", "true", "echo nonsense >$1", fmt.Sprintf("echo %d >$1", 1<<22+1)} {
		cmd, pid, _ := parentOf(t, false, "/bin/sh", "-c", script, "sh")
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); pid != 0 || got != Failed {
			t.Errorf("%s: got process %d, code %d", script, pid, got)
		}
	}
}
