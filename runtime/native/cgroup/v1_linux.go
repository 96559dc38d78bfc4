package cgroup

import (
	"errors"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// v1 is a group in the hierarchies of cgroup version 1.
type v1 struct {
	host *Host
	path string
	// unified is the mount of the hybrid tree where the group lives there, too.
	unified string
	mu      sync.Mutex // orders the making of directories by dir
}

// always lists the controllers whose hierarchies every group is in.
func always() []string {
	return []string{"cpu", "cpuacct", "memory", "pids", "blkio", "devices", "freezer", "name=systemd"}
}

func (g *v1) at(h hierarchy) string { return h.mount + g.path }

// find is the hierarchy of a controller.
func (g *v1) find(controller string) (hierarchy, bool) {
	for _, h := range g.host.trees {
		if h.has(controller) {
			return h, true
		}
	}
	return hierarchy{}, false
}

// file is a controller's file, or empty where there is no such controller.
func (g *v1) file(controller, name string) string {
	h, ok := g.find(controller)
	if !ok {
		return ""
	}
	return g.at(h) + "/" + name
}

func (g *v1) make(controllers []string) error {
	controllers = append(always(), controllers...)
	for _, h := range g.host.trees {
		if !slices.ContainsFunc(controllers, h.has) {
			continue
		}
		if err := makeGroup(h.mount, g.path); err != nil {
			return err
		}
		if err := g.seed(h); err != nil {
			return err
		}
	}
	if g.unified != "" {
		return makeGroup(g.unified, g.path)
	}
	return nil
}

// seed copies processors and memory nodes from above in a hierarchy of cpuset: a
// new group has none, and nothing can enter it.
func (g *v1) seed(h hierarchy) error {
	if !h.has("cpuset") {
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		above, err := readValue(h.mount + "/" + name)
		if err != nil {
			return err
		}
		for _, p := range append(ancestors(g.path), g.path) {
			file := h.mount + p + "/" + name
			own, err := readValue(file)
			if err != nil {
				return err
			}
			if own == "" {
				if err := writeFile(file, above); err != nil {
					return err
				}
				own = above
			}
			above = own
		}
	}
	return nil
}

// dir makes a hierarchy that Create left out on demand, and moves the processes
// there.
func (g *v1) dir(controller string) (string, error) {
	h, ok := g.find(controller)
	if !ok {
		return "", nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	dir := g.at(h)
	if exists(dir) {
		return dir, nil
	}
	if !exists(g.reference()) {
		return "", ErrNotFound
	}
	if err := makeGroup(h.mount, g.path); err != nil {
		return "", err
	}
	err := g.seed(h)
	if err == nil {
		err = g.follow(dir)
	}
	if err != nil {
		return "", errors.Join(err, g.abandon(h))
	}
	return dir, nil
}

// follow moves every process into dir, frozen, so that none forks unseen.
func (g *v1) follow(dir string) error {
	was, err := g.frozen()
	if err != nil {
		return err
	}
	if !was {
		if err := g.freeze(true); err != nil {
			return err
		}
		defer g.freeze(false)
	}
	pids, err := g.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		err := writeFile(dir+"/cgroup.procs", strconv.Itoa(pid))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// abandon takes a directory made on demand away, its processes going to the root.
func (g *v1) abandon(h hierarchy) error {
	pids, err := processes(g.at(h))
	if err != nil {
		return err
	}
	for _, pid := range pids {
		err := writeFile(h.mount+"/cgroup.procs", strconv.Itoa(pid))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return g.removeFrom(h.mount)
}

// reference is the directory whose list of processes is taken for the group's:
// the freezer's, so that what is listed is what can be frozen.
func (g *v1) reference() string {
	for _, c := range append([]string{"freezer", "pids"}, always()...) {
		if h, ok := g.find(c); ok {
			return g.at(h)
		}
	}
	return g.at(g.host.trees[0])
}

func (g *v1) dirs() []string {
	var dirs []string
	for _, h := range g.host.trees {
		dirs = append(dirs, g.at(h))
	}
	if g.unified != "" {
		dirs = append(dirs, g.unified+g.path)
	}
	return dirs
}

func (g *v1) paths() map[string]string {
	paths := map[string]string{}
	for _, h := range g.host.trees {
		if !exists(g.at(h)) {
			continue
		}
		for _, c := range h.controllers {
			paths[c] = g.at(h)
		}
	}
	return paths
}

// enter writes "0" to tasks: the calling thread alone, which costs no more than
// a few microseconds. cgroup.procs would move the whole process and stop every
// fork of the machine meanwhile.
func (g *v1) enter() error {
	entered := 0
	for _, h := range g.host.trees {
		err := writeFile(g.at(h)+"/tasks", "0")
		if err != nil && !gone(err) {
			return err
		}
		if err == nil {
			entered++
		}
	}
	if entered == 0 {
		return ErrNotFound
	}
	return nil
}

func (g *v1) tasks() []string {
	var files []string
	for _, h := range g.host.trees {
		if dir := g.at(h); exists(dir) {
			files = append(files, dir+"/tasks")
		}
	}
	return files
}

func (g *v1) cloneDir() string {
	if g.unified == "" || !exists(g.unified+g.path) {
		return ""
	}
	return g.unified + g.path
}

func (g *v1) add(pid int) error {
	added := 0
	for _, dir := range g.dirs() {
		err := writeFile(dir+"/cgroup.procs", strconv.Itoa(pid))
		if err != nil && !gone(err) {
			return err
		}
		if err == nil {
			added++
		}
	}
	if added == 0 {
		return ErrNotFound
	}
	return nil
}

func (g *v1) remove() error {
	for _, h := range g.host.trees {
		if err := g.removeFrom(h.mount); err != nil {
			return err
		}
	}
	if g.unified != "" {
		return g.removeFrom(g.unified)
	}
	return nil
}

func (g *v1) removeFrom(mount string) error {
	if err := removeTree(mount+g.path, newBackoff(removeLimit)); err != nil {
		return err
	}
	removeParents(mount, g.path)
	return nil
}
