package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// v2 is a group in the tree of cgroup version 2.
type v2 struct {
	root *hierarchy
	path string
}

// alwaysV2 lists the controllers that every group has: they count, and may be
// limited later.
func alwaysV2() []string { return []string{"cpu", "memory", "pids", "io"} }

func (g *v2) at() string { return g.root.mount + g.path }

func (g *v2) make(controllers []string) error {
	if err := makeGroup(g.root.mount, g.path); err != nil {
		return err
	}
	for _, c := range alwaysV2() {
		if !slices.Contains(controllers, c) {
			controllers = append(controllers, c)
		}
	}
	return g.enable(controllers)
}

func words(path string) ([]string, error) {
	text, err := readValue(path)
	return strings.Fields(text), err
}

// missing lists the wanted controllers, of those the machine has, which the
// group does not have yet.
func (g *v2) missing(wanted []string) ([]string, error) {
	have, err := words(g.at() + "/cgroup.controllers")
	if err != nil {
		return nil, notFound(err)
	}
	var lack []string
	for _, c := range wanted {
		if g.root.has(c) && !slices.Contains(have, c) && !slices.Contains(lack, c) {
			lack = append(lack, c)
		}
	}
	return lack, nil
}

// enable passes controllers down to the group, from the root on. The group
// exists, so no directory above it can vanish meanwhile.
func (g *v2) enable(wanted []string) error {
	lack, err := g.missing(wanted)
	if err != nil || len(lack) == 0 {
		return err
	}
	for _, up := range append([]string{""}, ancestors(g.path)...) {
		if err := pass(g.root.mount+up, lack); err != nil {
			return err
		}
	}
	return nil
}

// pass enables controllers for the children of dir. They are tried one by one
// when the kernel refuses them together: one may be unusable for a reason of its
// own (cpu, while a realtime process is about), and whoever needs it is told by
// the absence of its files.
func pass(dir string, controllers []string) error {
	file := dir + "/cgroup.subtree_control"
	all := "+" + strings.Join(controllers, " +")
	err := writeFile(file, all)
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EBUSY) {
		if err := checkInternal(dir); err != nil {
			return err
		}
	}
	if errors.Is(denied(err), ErrNotDelegated) {
		return denied(err)
	}
	for _, c := range controllers {
		err := writeFile(file, "+"+c)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}

// checkInternal explains the rule that a group with processes of its own, other
// than the machine's root, has no controllers for its children.
func checkInternal(dir string) error {
	if !exists(dir + "/cgroup.type") {
		return nil
	}
	pids, err := readPids(dir + "/cgroup.procs")
	if err != nil || len(pids) == 0 {
		return err
	}
	return fmt.Errorf("%q holds %d processes itself, so it cannot pass controllers on: "+
		"move them into a group below it, for instance with "+
		"mkdir %[1]s/init && xargs -n1 < %[1]s/cgroup.procs sh -c 'echo $0 > %[1]s/init/cgroup.procs'", dir, len(pids))
}

func (g *v2) dir(controller string) (string, error) {
	if !exists(g.at()) {
		return "", ErrNotFound
	}
	if controller == "cgroup" { // the core's own files
		return g.at(), nil
	}
	if !g.root.has(controller) {
		return "", nil
	}
	return g.at(), g.enable([]string{controller})
}

func (g *v2) dirs() []string { return []string{g.at()} }

func (g *v2) paths() map[string]string {
	paths := map[string]string{"unified": g.at()}
	controllers, err := words(g.at() + "/cgroup.controllers")
	if err != nil {
		return map[string]string{}
	}
	for _, c := range controllers {
		paths[c] = g.at()
	}
	return paths
}

// enter does nothing: a thread cannot leave its process's group on version 2,
// and moving the whole process would move its creator.
func (g *v2) enter() error { return nil }

func (g *v2) tasks() []string { return nil }

func (g *v2) cloneDir() string { return g.at() }

func (g *v2) add(pid int) error {
	return notFound(writeFile(g.at()+"/cgroup.procs", strconv.Itoa(pid)))
}

func (g *v2) remove() error {
	if err := removeTree(g.at(), newBackoff(removeLimit)); err != nil {
		return err
	}
	removeParents(g.root.mount, g.path)
	return nil
}
