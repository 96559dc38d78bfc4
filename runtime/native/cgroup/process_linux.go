package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processes lists the processes in the group dir and below it, sorted.
func processes(dir string) ([]int, error) {
	var all []int
	err := walk(dir, func(dir string) error {
		pids, err := members(dir)
		all = append(all, pids...)
		return err
	})
	slices.Sort(all)
	return slices.Compact(all), err
}

// members lists the processes of one group, without visitors.
func members(dir string) ([]int, error) {
	pids, _, err := divide(dir)
	return pids, err
}

// hasVisitors tells whether a process has a thread, but not its main thread, in
// the group dir or below it.
func hasVisitors(dir string) (bool, error) {
	found := false
	err := walk(dir, func(dir string) error {
		_, visitors, err := divide(dir)
		found = found || len(visitors) > 0
		return err
	})
	return found, err
}

// divide separates the processes of one group from those that have no more than
// a thread there: the creator of a container enters with one (Group.Enter), and
// whoever kills the group must not kill the creator.
func divide(dir string) (pids, visitors []int, err error) {
	all, err := readPids(dir + "/cgroup.procs")
	if err != nil || len(all) == 0 {
		return nil, nil, err
	}
	tasks, err := readPids(dir + "/tasks")
	if gone(err) && exists(dir) {
		return all, nil, nil // version 2, where a process is in one group as a whole
	}
	for _, pid := range all {
		if _, leads := slices.BinarySearch(tasks, pid); leads || !leaderAlive(pid) {
			pids = append(pids, pid)
		} else {
			visitors = append(visitors, pid)
		}
	}
	return pids, visitors, err
}

// leaderAlive is false for a process whose main thread exited before the others,
// which version 1 leaves out of tasks.
func leaderAlive(pid int) bool {
	stat, err := readText("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], " ") // after the name
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// readPids reads a list of process or thread ids, sorted. Zero stands for one
// that our pid namespace cannot see.
func readPids(path string) ([]int, error) {
	text, err := readText(path)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // a threaded group: its processes are listed further up
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(text) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("%s holds %q", path, line)
		}
		if pid > 0 {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// signalAll kills every process of the group through descriptors that were
// opened before its membership was read again, so that a pid which changed hands
// is not hit.
func signalAll(g freezable) error {
	pids, err := g.pids()
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(pids, 128) {
		if err := signalChunk(g, chunk); err != nil {
			return err
		}
	}
	return nil
}

func signalChunk(g freezable, pids []int) error {
	fds := map[int]int{}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		switch {
		case err == nil:
			fds[pid] = fd
		case err != unix.ESRCH && err != unix.EINVAL:
			return fmt.Errorf("cannot open process %d: %w", pid, err)
		}
	}
	still, err := g.pids()
	if err != nil {
		return err
	}
	for pid, fd := range fds {
		if _, ok := slices.BinarySearch(still, pid); !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
			return fmt.Errorf("cannot kill process %d: %w", pid, err)
		}
	}
	return nil
}

// awaitExit waits until the processes have exited, but not for long: one that
// cannot die, or a pid that changed hands meanwhile, must not hold up the others.
func awaitExit(pids []int, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // reaped already
		}
		err = awaitPidfd(fd, deadline)
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
	// A dead process is off the list some moments after its exit is told.
	time.Sleep(50 * time.Microsecond)
	return nil
}

func awaitPidfd(fd int, deadline time.Time) error {
	for {
		left := max(time.Until(deadline), 0)
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != unix.EINTR {
			return err
		}
	}
}
