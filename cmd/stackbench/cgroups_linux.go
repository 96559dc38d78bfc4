package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroups are the hierarchies that replicas of the floor are put into, below a
// directory of this run.
type cgroups struct {
	v2     bool
	parent []string
}

// detectCgroups prefers the five v1 hierarchies that most limits live in.
func detectCgroups(run string) (cgroups, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return cgroups{}, fmt.Errorf("cannot find cgroups: %w", err)
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return cgroups{v2: true, parent: []string{filepath.Join(cgroupRoot, run)}}, nil
	}
	var g cgroups
	for _, name := range []string{"cpu", "memory", "pids", "devices", "freezer"} {
		dir := filepath.Join(cgroupRoot, name)
		if err := unix.Statfs(dir, &st); err == nil && st.Type == unix.CGROUP_SUPER_MAGIC {
			g.parent = append(g.parent, filepath.Join(dir, run))
		}
	}
	if len(g.parent) == 0 {
		return g, errors.New("cannot find cgroups: no hierarchy below " + cgroupRoot)
	}
	return g, nil
}

func (g cgroups) make(name string) error {
	for _, dir := range g.parent {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// enter makes a replica's groups and joins them with the calling thread alone, on
// v1: its children inherit. A first write to cgroup.procs would stall for an RCU
// grace period.
func (g cgroups) enter(name string) error {
	if err := g.make(name); err != nil || g.v2 {
		return err
	}
	for _, dir := range g.parent {
		if err := os.WriteFile(filepath.Join(dir, name, "tasks"), []byte("0"), 0); err != nil {
			return err
		}
	}
	return nil
}

// into opens the v2 group for clone3; -1 on v1.
func (g cgroups) into(name string) int {
	if !g.v2 {
		return -1
	}
	fd, err := unix.Open(filepath.Join(g.parent[0], name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1 // verify tells
	}
	return fd
}

// remove takes groups away; one whose last process has just been reaped stays busy
// for a moment.
func (g cgroups) remove(name string) error {
	var errs []error
	for _, dir := range g.parent {
		path := filepath.Join(dir, name)
		err := unix.Rmdir(path)
		for range 200 {
			if err != unix.EBUSY {
				break
			}
			time.Sleep(time.Millisecond)
			err = unix.Rmdir(path)
		}
		if err != nil && err != unix.ENOENT {
			errs = append(errs, fmt.Errorf("cannot remove cgroup %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}
