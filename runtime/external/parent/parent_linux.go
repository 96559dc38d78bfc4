package parent

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Failed is the exit code of a parent whose program did not make a process.
const Failed = 125

// Args is the command line, after the executable's own words, of a parent that
// executes argv with descriptors 0 to files-1. The socket is descriptor files. A program
// that stays is the process itself, from when it has written its own pid.
func Args(pidFile string, files int, stays bool, argv []string) []string {
	return append([]string{"--pid-file", pidFile, "--files", strconv.Itoa(files), "--stays=" + strconv.FormatBool(stays), "--"}, argv...)
}

// options are those of Args.
type options struct {
	pidFile string
	files   int
	stays   bool
	argv    []string
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("parent", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.pidFile, "pid-file", "", "")
	f.IntVar(&o.files, "files", 3, "")
	f.BoolVar(&o.stays, "stays", false, "")
	err := f.Parse(args)
	if o.argv = f.Args(); err == nil && (o.pidFile == "" || o.files < 3 || len(o.argv) == 0) {
		err = errors.New("usage: parent --pid-file FILE --files N -- PROGRAM [ARG]")
	}
	return o, err
}

// Main is such a parent's life; it returns the exit code.
func Main(args []string) int {
	o, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return Failed
	}
	pid, err := o.beget()
	if err != nil {
		bury()
		return Failed
	}
	code, err := wait(pid)
	if err != nil {
		return Failed
	}
	return code
}

// beget runs the program and tells the caller of the process it left.
func (o options) beget() (int, error) {
	unix.CloseOnExec(o.files)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	// A session keyring of its own: crun leaves processes the caller's. Kernels without
	// keyrings, and quotas, are no reason not to execute.
	unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	inherited := make([]uintptr, o.files)
	for i := range inherited {
		inherited[i] = uintptr(i)
	}
	program, err := syscall.ForkExec(o.argv[0], o.argv, &syscall.ProcAttr{Env: os.Environ(), Files: inherited})
	if err != nil {
		return 0, err
	}
	if err := letGo(o.files); err != nil {
		return 0, err
	}
	if o.stays {
		if err := o.begun(program); err != nil {
			return 0, err
		}
		return program, tell(o.files, program)
	}
	if code, err := wait(program); err != nil || code != 0 {
		return 0, errors.Join(err, errors.New("the program failed"))
	}
	pid, err := o.pid()
	if err != nil {
		return 0, err
	}
	return pid, tell(o.files, pid)
}

// pid is what the program wrote.
func (o options) pid() (int, error) {
	b, err := os.ReadFile(o.pidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// look is how often, in ms, it is looked whether a program that stays has begun.
const look = 2

// begun waits until a program has written its own pid. It may have ended since.
func (o options) begun(program int) error {
	pidfd, err := unix.PidfdOpen(program, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, look)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		// A file half written holds another number, or none.
		if pid, err := o.pid(); err == nil && pid == program {
			return nil
		}
		if n > 0 {
			return errors.New("the program ended before its process began")
		}
	}
}

// letGo closes what is the program's: who reads a pipe waits for its end.
func letGo(files int) error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(null, fd, 0); err != nil {
			return err
		}
	}
	for fd := 3; fd < files; fd++ {
		unix.Close(fd)
	}
	return nil
}

// tell sends the process's pid and a pidfd. It is not reaped yet, dead or alive.
func tell(socket, pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	defer unix.Close(socket)
	return unix.Sendmsg(socket, []byte(strconv.Itoa(pid)), unix.UnixRights(pidfd), nil, unix.MSG_NOSIGNAL)
}

// bury kills and reaps what a program left that failed. The first process of a
// container cannot end before.
func bury() {
	for {
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		for _, name := range lists {
			b, _ := os.ReadFile(name) // the thread may have ended
			for _, word := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(word); err == nil {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if _, err := unix.Wait4(-1, nil, 0, nil); errors.Is(err, unix.ECHILD) {
			return
		}
	}
}

// wait reaps a child and returns its code, as a shell would.
func wait(pid int) (int, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}
