package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// StartTime is field 22 of /proc/PID/stat: what makes a pid trustworthy.
func StartTime(pid int) (uint64, error) {
	st, err := procStat(pid)
	return st.start, err
}

type stat struct {
	state  byte
	start  uint64
	status unix.WaitStatus // of a zombie, where we may read it
}

// procStat reads /proc/PID/stat (proc_pid_stat(5)). The name may hold anything,
// so fields are counted from its last parenthesis.
func procStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	i := bytes.LastIndexByte(b, ')')
	f := bytes.Fields(b[i+1:])
	if i < 0 || len(f) < 50 {
		return stat{}, fmt.Errorf("cannot parse /proc/%d/stat", pid)
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return stat{}, err
	}
	code, err := strconv.ParseUint(string(f[49]), 10, 32)
	return stat{f[0][0], start, unix.WaitStatus(code)}, err
}

// exitOf translates a wait status.
func exitOf(ws unix.WaitStatus) runtime.Exit {
	e := runtime.Exit{Code: ws.ExitStatus(), At: time.Now()}
	if ws.Signaled() {
		e.Code = 128 + int(ws.Signal())
	}
	return e
}

func unknownExit() runtime.Exit {
	return runtime.Exit{Code: -1, Unknown: true, At: time.Now()}
}

// sigchld is the part of siginfo_t that waitid(2) fills.
type sigchld struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
}

// peekChild returns a child that has exited, leaving it to be reaped; pid 0 when
// there is none yet, ECHILD when there are no children at all.
func peekChild() (pid int, exit runtime.Exit, err error) {
	var info unix.Siginfo
	err = retry(func() error {
		return unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	})
	if err != nil {
		return 0, exit, err
	}
	c := (*sigchld)(unsafe.Pointer(&info))
	exit = runtime.Exit{Code: int(c.status), At: time.Now()}
	const cldExited = 1
	if c.code != cldExited {
		exit.Code += 128
	}
	return int(c.pid), exit, nil
}

func reapChild(pid int) {
	_ = retry(func() error {
		_, err := unix.Wait4(pid, nil, unix.WNOHANG|unix.WALL, nil)
		return err
	})
}

// isChild tells whether the process behind pidfd is to be reaped by us.
func isChild(pidfd int) bool {
	err := retry(func() error {
		return unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	})
	// A non-blocking pidfd of a living child gives EAGAIN.
	return err == nil || errors.Is(err, unix.EAGAIN)
}

// reapPatience is how long a dead process may remain its parent's before its
// code is given up. Many a pid 1 looks after its children only now and then.
const reapPatience = 5 * time.Second

// awaitExit waits for the end of a process that is not our child and returns how
// it ended: from the kernel's record behind the pidfd, which appears when its
// parent reaps it (Linux 6.15), or from the zombie while there is one.
// closed is returned when pidfd was closed meanwhile.
func awaitExit(pidfd *os.File, pid int, start uint64) (exit runtime.Exit, closed bool) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return exit, true
	}
	if err := raw.Read(func(fd uintptr) bool { return polled(int(fd))&unix.POLLIN != 0 }); err != nil {
		return exit, true
	}
	var ws unix.WaitStatus
	known := false
	read := func(fd uintptr) bool {
		ws, known = reapedStatus(int(fd))
		if !known {
			ws, known = zombieStatus(pid, start)
		}
		return known || polled(int(fd))&unix.POLLHUP != 0
	}
	_ = pidfd.SetReadDeadline(time.Now().Add(reapPatience))
	if err := raw.Read(read); errors.Is(err, os.ErrClosed) {
		return exit, true
	}
	if !known {
		return unknownExit(), false
	}
	return exitOf(ws), false
}

func polled(fd int) int16 {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_ = retry(func() error { _, err := unix.Poll(p, 0); return err })
	return p[0].Revents
}

func reapedStatus(pidfd int) (unix.WaitStatus, bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false
	}
	return unix.WaitStatus(info.Exit_code), true
}

// zombieStatus reads the code of a dead, unreaped process. The kernel shows 0 to
// those who may not trace the process, so that 0 tells nothing.
func zombieStatus(pid int, start uint64) (unix.WaitStatus, bool) {
	st, err := procStat(pid)
	return st.status, err == nil && st.start == start && st.state == 'Z' && st.status != 0
}
