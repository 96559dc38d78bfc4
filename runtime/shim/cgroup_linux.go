package shim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// A shim has cgroups of its own, named alike at the top of every hierarchy, so
// that it outlives the systemd scope or CI job it was started from. All of this is
// best effort: without the right to move, the shim stays where it is.

// hierarchy is a mounted cgroup hierarchy.
type hierarchy struct {
	mount string
	v2    bool
}

// hierarchies reads /proc/self/mountinfo (proc_pid_mountinfo(5)).
func hierarchies() []hierarchy {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var hs []hierarchy
	for line := range bytes.Lines(b) {
		before, after, ok := bytes.Cut(line, []byte(" - "))
		pre, post := bytes.Fields(before), bytes.Fields(after)
		if !ok || len(pre) < 5 || len(post) < 1 {
			continue
		}
		switch string(post[0]) {
		case "cgroup":
			hs = append(hs, hierarchy{string(pre[4]), false})
		case "cgroup2":
			hs = append(hs, hierarchy{string(pre[4]), true})
		}
	}
	return hs
}

// joinCgroups moves the calling thread, and so what it forks, into the cgroups
// called name. Moving a thread through a v1 tasks file costs 0.04 ms where moving
// a process costs ten. For v2 it returns the directory for clone3, or nil.
func joinCgroups(name string) *os.File {
	var v2 *os.File
	for _, h := range hierarchies() {
		dir := filepath.Join(h.mount, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			continue
		}
		if h.v2 {
			v2, _ = os.Open(dir)
			continue
		}
		inheritCPUs(h.mount, dir)
		if os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0) != nil {
			os.Remove(dir)
		}
	}
	return v2
}

// inheritCPUs fills in a new cpuset, which takes no task while it is empty.
func inheritCPUs(parent, dir string) {
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		have, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return
		}
		if strings.TrimSpace(string(have)) != "" {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(parent, f)); err == nil {
			_ = os.WriteFile(filepath.Join(dir, f), b, 0)
		}
	}
}

// RemoveCgroup removes the cgroups called name that a killed shim left.
func RemoveCgroup(name string) {
	for _, h := range hierarchies() {
		_ = os.Remove(filepath.Join(h.mount, name))
	}
}

// leaveCgroup moves this process up, out of the cgroups called name, and removes
// them.
func leaveCgroup(name string) {
	for _, h := range hierarchies() {
		dir := filepath.Join(h.mount, name)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		_ = os.WriteFile(filepath.Join(h.mount, "cgroup.procs"), []byte("0"), 0)
		_ = os.Remove(dir)
	}
}
