package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// procStat tells whether a process is past the beginning of its exit, and its
// start time; ErrNotRunning when there is no such process. The first process of a
// pid namespace can stay in its exit for long: until every process that others
// forked into the namespace has been reaped by them.
func procStat(pid int) (exiting bool, start uint64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false, 0, runtime.ErrNotRunning
	}
	if err != nil {
		return false, 0, err
	}
	// The name, in parentheses, may contain anything.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return false, 0, fmt.Errorf("cannot parse status of process %d", pid)
	}
	flags, err1 := strconv.ParseUint(string(fields[6]), 10, 64)
	start, err2 := strconv.ParseUint(string(fields[19]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return false, 0, fmt.Errorf("cannot parse status of process %d: %w", pid, err)
	}
	const pfExiting = 4
	return flags&pfExiting != 0 || bytes.ContainsAny(fields[0], "ZXx"), start, nil
}

// alive says whether the process that was recorded still runs.
func alive(pid int, start uint64) (bool, error) {
	if pid == 0 {
		return false, nil
	}
	exiting, now, err := procStat(pid)
	if errors.Is(err, runtime.ErrNotRunning) {
		return false, nil
	}
	return err == nil && now == start && !exiting, err
}

// openProcess returns a pidfd of the recorded process; ErrNotRunning when it has
// ended, or its pid is another's by now.
func openProcess(pid int, start uint64) (*os.File, error) {
	if pid == 0 {
		return nil, runtime.ErrNotRunning
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, runtime.ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open process %d: %w", pid, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	ok, err := alive(pid, start)
	if err == nil && !ok {
		err = runtime.ErrNotRunning
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// pidOf reads the pid a pidfd refers to.
func pidOf(pidfd *os.File) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "Pid:"); ok {
			pid, err := strconv.Atoi(strings.TrimSpace(value))
			if err == nil && pid <= 0 {
				err = runtime.ErrNotRunning
			}
			return pid, err
		}
	}
	return 0, errors.New("cannot find the pid of a pidfd")
}

func signalProcess(pidfd *os.File, sig unix.Signal) error {
	err := unix.PidfdSendSignal(int(pidfd.Fd()), sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return runtime.ErrNotRunning
	}
	return err
}

// ended says whether the process a pidfd refers to is no more, or a zombie.
func ended(pidfd *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}

// awaitEnd returns when the process has ended or ctx is done.
func awaitEnd(ctx context.Context, pidfd *os.File) error {
	var wake [2]int
	if err := unix.Pipe2(wake[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(wake[0])
	stop := context.AfterFunc(ctx, func() { unix.Close(wake[1]) })
	defer func() {
		if stop() {
			unix.Close(wake[1])
		}
	}()
	fds := []unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}, {Fd: int32(wake[0])}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case fds[0].Revents != 0:
			return nil
		default:
			return ctx.Err()
		}
	}
}

// reap waits for a child of ours; an error says that it is none.
func reap(pid int) (status unix.WaitStatus, err error) {
	for {
		_, err = unix.Wait4(pid, &status, unix.WALL, nil)
		if !errors.Is(err, unix.EINTR) {
			return status, err
		}
	}
}

// awaitRelease returns when a killed process has given up its namespaces, which
// comes shortly before its end, and without its end when that has to wait (see
// procStat). Only the end is an event.
func awaitRelease(ctx context.Context, pid int, pidfd *os.File) error {
	const pause = 20 * time.Millisecond
	for {
		soon, cancel := context.WithTimeout(ctx, pause)
		err := awaitEnd(soon, pidfd)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid)); err != nil {
			return nil
		}
	}
}
