package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// verify proves, with the clock stopped, that each replica is what it was timed for.
func (r *floorRound) verify() error {
	if err := wantSleepers(r.mark, len(r.replicas)); err != nil {
		return err
	}
	ports, err := os.ReadDir(filepath.Join("/sys/class/net", r.tag, "brif"))
	if err != nil || len(ports) != len(r.replicas) {
		return fmt.Errorf("%d links on the floor's bridge: %w", len(ports), errors.Join(err, errNotDone))
	}
	for _, one := range r.replicas {
		if err := r.verifyOne(one); err != nil {
			return fmt.Errorf("replica %d: %w", one.number, err)
		}
	}
	return nil
}

var errNotDone = errors.New("the floor does not do its work")

func (r *floorRound) verifyOne(one *replica) error {
	proc := filepath.Join("/proc", strconv.Itoa(one.pid))
	for _, ns := range []string{"user", "mnt", "pid", "net", "ipc", "uts"} {
		ours, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			return err
		}
		theirs, err := os.Readlink(filepath.Join(proc, "ns", ns))
		if err != nil || ours == theirs {
			return fmt.Errorf("%s namespace is the host's: %w", ns, errors.Join(err, errNotDone))
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Join(proc, "root"), &st); err != nil || st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("its root is no overlay: %w", errors.Join(err, errNotDone))
	}
	groups, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil || strings.Count(string(groups), "/"+filepath.Base(r.groups.parent[0])+"/"+one.group+"\n") < len(r.groups.parent) {
		return fmt.Errorf("it is not in its cgroups: %w", errors.Join(err, errNotDone))
	}
	table, err := os.ReadFile(filepath.Join(proc, "net/fib_trie"))
	if err != nil || !strings.Contains(string(table), addressOf(one.number).String()) {
		return fmt.Errorf("its address is missing: %w", errors.Join(err, errNotDone))
	}
	return nil
}
