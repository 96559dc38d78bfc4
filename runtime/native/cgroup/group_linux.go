package cgroup

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Group is one container's control group. Its methods may be called from
// several goroutines; Enter and Update of one group are the caller's to order.
type Group struct {
	path string
	tree tree
	// later are settings that would have hindered the first process; see Settle.
	later []setting
}

// tree is a group in one version's file systems. Its errors name no path: Group
// adds it.
type tree interface {
	// plan computes the writes for r; the state is read first unless fresh.
	plan(r *specs.LinuxResources, fresh bool) (plan, error)
	// make makes the directories that a group with limits in controllers needs.
	make(controllers []string) error
	// dir is the directory for a controller's files, made when it is missing;
	// empty when the machine has no such controller.
	dir(controller string) (string, error)
	setDevices(rules []deviceRule, fresh bool) error
	dirs() []string
	paths() map[string]string

	enter() error
	tasks() []string
	cloneDir() string
	add(pid int) error

	pids() ([]int, error)
	freeze(on bool) error
	frozen() (bool, error)
	kill(limit time.Duration) error
	remove() error

	oomKills() (uint64, error)
	oomEvents(ctx context.Context) (<-chan struct{}, error)
}

// killLimit bounds the wait for killed processes to be gone.
const killLimit = 10 * time.Second

// Create makes the group at path, relative to the mounts' roots, with the limits
// of res, which may be nil. The warnings name limits that this machine cannot
// apply. A group of that name which nothing uses is replaced; one in use is
// ErrExists. A failed Create leaves nothing behind.
//
// Without rules in res.Devices every device is allowed.
func Create(path string, res *specs.LinuxResources) (*Group, []string, error) {
	h, err := machine()
	if err != nil {
		return nil, nil, err
	}
	return h.Create(path, res)
}

// CreateDetached makes a group without limits that on a hybrid machine also
// leads out of the unified tree's group, where systemd looks for the processes
// of a scope that ends. Dir is not nil then, as on version 2: it is for the tests of
// that way into a group.
func CreateDetached(path string) (*Group, error) {
	h, err := machine()
	if err != nil {
		return nil, err
	}
	return h.CreateDetached(path)
}

// Load finds the group at path; ErrNotFound when no hierarchy has it.
func Load(path string) (*Group, error) {
	h, err := machine()
	if err != nil {
		return nil, err
	}
	return h.Load(path)
}

// Create is the function of that name for this host.
func (h *Host) Create(path string, res *specs.LinuxResources) (*Group, []string, error) {
	return h.create(path, res, false)
}

// CreateDetached is the function of that name for this host.
func (h *Host) CreateDetached(path string) (*Group, error) {
	g, _, err := h.create(path, nil, true)
	return g, err
}

func (h *Host) create(path string, res *specs.LinuxResources, detached bool) (*Group, []string, error) {
	if err := checkPath(path); err != nil {
		return nil, nil, err
	}
	g := h.group(path, detached)
	p, err := g.tree.plan(res, true)
	if err != nil {
		return nil, nil, g.fail("create", err)
	}
	warnings, err := g.build(p.withoutDefaults())
	if err != nil {
		return nil, nil, g.fail("create", err)
	}
	return g, warnings, nil
}

func (h *Host) group(path string, detached bool) *Group {
	if h.Mode == V2 {
		return &Group{path: path, tree: &v2{root: &h.trees[0], path: path}}
	}
	t := &v1{host: h, path: path}
	if detached {
		t.unified = h.unified
	}
	return &Group{path: path, tree: t}
}

// Load is the function of that name for this host.
func (h *Host) Load(path string) (*Group, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	g := h.group(path, true)
	for _, dir := range g.tree.dirs() {
		if exists(dir) {
			return g, nil
		}
	}
	return nil, fmt.Errorf("cannot find cgroup %q: %w", path, ErrNotFound)
}

// fail names the group and the verb in an error.
func (g *Group) fail(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s cgroup %q: %w", verb, g.path, err)
}

// Path is the group's path, relative to the mounts' roots.
func (g *Group) Path() string { return g.path }

// Paths maps each controller to the group's absolute directory on the host;
// named hierarchies are "name=systemd", version 2 has "unified" besides.
func (g *Group) Paths() map[string]string { return g.tree.paths() }

// Enter moves the calling thread into the group in every version 1 hierarchy;
// children forked from it are born there. The thread must be locked, must not be
// the process's main thread and must be left to die: a thread that stays keeps
// the group busy, and it must be gone before a Freeze. After an error, too. On
// version 2 Enter does nothing, see Dir. A frozen group is ErrFrozen.
//
// From then on the group's device rules and limits hold for the thread: open
// what it needs before.
func (g *Group) Enter() error {
	err := g.refuseFrozen()
	if err == nil {
		err = g.tree.enter()
	}
	return g.fail("enter", err)
}

// Tasks are the files, one of each version 1 hierarchy, that a process without
// threads writes "0" to instead of Enter, before it forks and ends. There are none on
// version 2, see Dir. A frozen group is ErrFrozen.
func (g *Group) Tasks() ([]string, error) {
	if err := g.refuseFrozen(); err != nil {
		return nil, g.fail("enter", err)
	}
	return g.tree.tasks(), nil
}

func (g *Group) refuseFrozen() error {
	is, err := g.tree.frozen()
	if err == nil && is {
		err = ErrFrozen
	}
	return err
}

// Dir opens the group for SysProcAttr.CgroupFD (CLONE_INTO_CGROUP, Linux 5.7);
// the caller closes it. It is nil where the group has no version 2 directory. A
// frozen group is ErrFrozen: what is cloned into it never reaches its execve.
func (g *Group) Dir() (*os.File, error) {
	dir := g.tree.cloneDir()
	if dir == "" {
		return nil, nil
	}
	if err := g.refuseFrozen(); err != nil {
		return nil, g.fail("open", err)
	}
	f, err := os.Open(dir)
	return f, g.fail("open", err)
}

// Add moves a whole living process into the group. The first such move on a
// machine stalls for some 11 ms: prefer Enter and Dir.
func (g *Group) Add(pid int) error { return g.fail("add a process to", g.tree.add(pid)) }

// Pids lists the processes in the group and below it, sorted. A process that
// has only some thread in the group (see Enter) is not one of them.
func (g *Group) Pids() ([]int, error) {
	pids, err := g.tree.pids()
	return pids, g.fail("list the processes of", err)
}

// Freeze stops every process and returns when all are stopped.
func (g *Group) Freeze() error { return g.fail("freeze", g.tree.freeze(true)) }

// Thaw lets the processes go on.
func (g *Group) Thaw() error { return g.fail("thaw", g.tree.freeze(false)) }

// Frozen tells whether the group is frozen, by Freeze or by a group above.
func (g *Group) Frozen() (bool, error) {
	is, err := g.tree.frozen()
	return is, g.fail("read the freezer of", err)
}

// Kill kills every process in the group and below it and returns when none is
// left, or ErrBusy after ten seconds. It refuses a group that this process is in.
func (g *Group) Kill() error {
	err := refuseOwn(g.tree)
	if err == nil {
		err = g.tree.kill(killLimit)
	}
	return g.fail("kill", err)
}

func refuseOwn(t tree) error {
	pids, err := t.pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if pid == os.Getpid() {
			return fmt.Errorf("this process is in it: %w", ErrBusy)
		}
	}
	return nil
}

// Delete removes the group, what is below it, and the directories above it that
// become empty and are ours. Removing what does not exist is no error; a group
// that still has processes is ErrBusy.
func (g *Group) Delete() error { return g.fail("remove", g.tree.remove()) }

// OOMKills counts the processes that the kernel killed for memory since the
// group was made.
func (g *Group) OOMKills() (uint64, error) {
	n, err := g.tree.oomKills()
	return n, g.fail("read the OOM kills of", err)
}

// OOMEvents sends after each time the group ran out of memory, until ctx ends;
// then the channel is closed. End ctx when the group goes: version 2 does not
// tell that. Events that nobody takes meld into one. Version 1 tells before it
// kills, so OOMKills may lag behind.
func (g *Group) OOMEvents(ctx context.Context) (<-chan struct{}, error) {
	c, err := g.tree.oomEvents(ctx)
	return c, g.fail("watch the memory of", err)
}
