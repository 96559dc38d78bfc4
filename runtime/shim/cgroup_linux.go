package shim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// A shim has cgroups of its own, with one path (such as stack/PROJECT/shim) from
// the top of every hierarchy, so that it outlives the systemd scope or CI job it
// was started from. All of this is best effort: without the right to move, the
// shim stays where it is. Directories above the last are shared with containers
// and other stacks; they go when empty, so they may vanish at any moment.

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
// at path. Moving a thread through a v1 tasks file costs 0.04 ms where moving a
// process costs ten. For v2 it returns the directory for clone3, or nil.
func joinCgroups(path string) *os.File {
	var v2 *os.File
	for _, h := range hierarchies() {
		dir, err := makeCgroup(h.mount, path)
		if err != nil {
			continue
		}
		if h.v2 {
			v2, _ = os.Open(dir)
			continue
		}
		if os.WriteFile(filepath.Join(dir, "tasks"), []byte("0"), 0) != nil {
			removeCgroup(h.mount, path)
		}
	}
	return v2
}

// EnterCgroup moves this process into cgroups at path, as a shim is started in its
// own: for other programs that outlive who starts them.
func EnterCgroup(path string) {
	for _, h := range hierarchies() {
		for range 3 { // another's end may have removed it just now
			dir, err := makeCgroup(h.mount, path)
			if err != nil || os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0) == nil {
				break
			}
			removeCgroup(h.mount, path)
		}
	}
}

// makeCgroup makes the cgroup at path and what is missing above, starting over
// when another removes that meanwhile.
func makeCgroup(mount, path string) (dir string, err error) {
	if !filepath.IsLocal(path) {
		return "", os.ErrInvalid
	}
	for range 100 {
		dir = mount
		for name := range strings.SplitSeq(path, "/") {
			parent := dir
			dir = filepath.Join(dir, name)
			if err = os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
				break
			}
			inheritCPUs(parent, dir)
		}
		if err == nil || os.IsExist(err) {
			return dir, nil
		}
		if !os.IsNotExist(err) {
			break
		}
	}
	return "", err
}

// removeCgroup removes the cgroup at path and those above that are empty;
// rmdir(2) decides.
func removeCgroup(mount, path string) {
	for ; path != "." && filepath.IsLocal(path); path = filepath.Dir(path) {
		if err := os.Remove(filepath.Join(mount, path)); err != nil && !os.IsNotExist(err) {
			return
		}
	}
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

// LeaveCgroup moves this process up, out of the cgroups at path, and removes
// them.
func LeaveCgroup(path string) {
	for _, h := range hierarchies() {
		if _, err := os.Stat(filepath.Join(h.mount, path)); err != nil {
			continue
		}
		_ = os.WriteFile(filepath.Join(h.mount, "cgroup.procs"), []byte("0"), 0)
		removeCgroup(h.mount, path)
	}
}
