package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/cgroup"
	"stack/runtime/native/rootfs"
)

// initAnnotation, set to "true", puts a reaper before the user's program.
const initAnnotation = "stack.init"

// creating is one Create under way.
type creating struct {
	*runtime.Bundle
	runtime  *Runtime
	home     *home
	record   *record
	group    *cgroup.Group
	paths    map[string]string // of group, when it was made
	ns       namespaces
	plan     creation
	listener *os.File
	child    *firstProcess
	console  *os.File
	warnings []string
	hooked   bool // hooks have run: poststop hooks are due
}

// Create implements runtime.Runtime.
func (r *Runtime) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	if err := validate(b); err != nil {
		return runtime.Created{}, err
	}
	h, err := r.claim(ctx, b.ID)
	if err != nil {
		return runtime.Created{}, err
	}
	defer h.Close()
	c := &creating{Bundle: &b, runtime: r, home: h}
	defer c.close()
	if err := c.create(ctx); err != nil {
		err = explainSysctl(err, c.plan.sysctls, c.ns.all()&unix.CLONE_NEWUSER != 0, onHost)
		undone := c.undo()
		if c.child != nil {
			err = errors.Join(err, c.child.fate)
		}
		return runtime.Created{}, errors.Join(err, undone)
	}
	return runtime.Created{
		Pid: c.record.Pid, StartTime: c.record.StartTime,
		PidFD: c.child.takePidFD(), Console: c.console, Warnings: c.warnings,
	}, nil
}

// create does everything in order; undo undoes whatever of it was done.
func (c *creating) create(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		c.prepare, c.intend, c.limit, c.fork, c.build, c.settle, c.release,
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare computes everything that can be refused before anything is made.
func (c *creating) prepare(context.Context) (err error) {
	spec := c.Spec
	if c.ns, err = openNamespaces(spec.Linux.Namespaces); err != nil {
		return err
	}
	own := c.ns.all()
	p := creation{
		spec: spec, fresh: c.ns.fresh, own: own,
		joinUser: c.ns.user() != nil,
		null:     [3]bool{c.Stdin == nil, c.Stdout == nil, c.Stderr == nil},
		extra:    len(c.ExtraFiles),
		init:     spec.Annotations[initAnnotation] == "true",
		timePath: c.ns.time(), noPivot: c.runtime.noPivot,
	}
	if p.timeOffsets, err = timeOffsets(spec.Linux.TimeOffsets, c.ns.fresh); err != nil {
		return err
	}
	if err := checkNamespaces(spec, own); err != nil {
		return err
	}
	if p.sysctls, err = newSysctls(spec.Linux.Sysctl, own); err != nil {
		return err
	}
	compiled, err := c.runtime.filters.compile(spec.Linux.Seccomp)
	if err != nil {
		return err
	}
	var warnings []string
	p.program, warnings, err = newProgram(spec.Process, spec.Linux, compiled, own&unix.CLONE_NEWUSER != 0)
	c.warnings = append(c.warnings, warnings...)
	if err != nil {
		return err
	}
	if p.program.hooks = hooksOf(spec).StartContainer; len(p.program.hooks) > 0 {
		p.program.hookState, err = c.startState()
	}
	c.plan = p
	return err
}

// startState is the input of startContainer hooks. The first process's number is
// not known yet unless it gets a pid namespace of its own.
func (c *creating) startState() ([]byte, error) {
	pid := 0
	if c.ns.fresh&unix.CLONE_NEWPID != 0 {
		pid = 1
	}
	rec := record{ID: c.ID, Bundle: c.Directory, Annotations: c.Spec.Annotations}
	state, err := rec.hookState(specs.StateCreated, pid)
	if err == nil && len(state) > maxHookState {
		err = fmt.Errorf("cannot run startContainer hooks: the annotations are larger than %d bytes", maxHookState)
	}
	return state, err
}

// checkNamespaces refuses what would change the host.
func checkNamespaces(spec *specs.Spec, own uintptr) error {
	if (spec.Hostname != "" || spec.Domainname != "") && own&unix.CLONE_NEWUTS == 0 {
		return errors.New("cannot set the host name of a container that shares the host's")
	}
	mapped := len(spec.Linux.UIDMappings)+len(spec.Linux.GIDMappings) > 0
	if mapped && own&unix.CLONE_NEWUSER == 0 {
		return errors.New("id mappings without a user namespace")
	}
	return nil
}

// newProgram completes a process; l is nil unless it is a first one. userNS says that it has a user namespace,
// where every capability may be had.
func newProgram(p *specs.Process, l *specs.Linux, f *filter, userNS bool) (program, []string, error) {
	available := ^uint64(0)
	var err error
	if !userNS {
		if available, err = ownCapabilities(); err != nil {
			return program{}, nil, err
		}
	}
	caps, warnings, err := newCapabilities(p.Capabilities, available)
	if err != nil {
		return program{}, nil, err
	}
	limits, more, err := newLimits(p.Rlimits)
	if err != nil {
		return program{}, nil, err
	}
	tuning, err := newTuning(p, l)
	if err != nil {
		return program{}, nil, err
	}
	return program{Process: p, filter: f, limits: limits, caps: caps, tuning: tuning}, append(warnings, more...), nil
}

// intend records what is about to be made, so that Delete finds it after a crash
// at any point.
func (c *creating) intend(context.Context) error {
	l := c.Spec.Linux
	c.record = &record{
		Version: recordVersion, ID: c.ID, Created: time.Now(), Bundle: c.Directory,
		Cgroup:      cgroupPath(c.ID, l.CgroupsPath),
		Annotations: c.Spec.Annotations,
		Namespaces:  uint64(c.ns.all()),
		UserNS:      c.ns.all()&unix.CLONE_NEWUSER != 0,
		UIDs:        l.UIDMappings, GIDs: l.GIDMappings,
		OOMScoreAdj: c.Spec.Process.OOMScoreAdj, ExtraFiles: len(c.ExtraFiles),
		Affinity:  c.Spec.Process.ExecCPUAffinity,
		Poststart: hooksOf(c.Spec).Poststart, Poststop: hooksOf(c.Spec).Poststop,
	}
	_, err := c.home.write(c.record)
	return err
}

func cgroupPath(id, asked string) string {
	if asked == "" {
		return "/stack/" + id
	}
	return "/" + strings.TrimPrefix(asked, "/")
}

// limit makes the cgroup. The stub's first stage and, on v1, the thread that forks
// are in it for a moment, so a lower limit of processes comes in settle.
func (c *creating) limit(context.Context) error {
	limits := withDefaultDevices(c.Spec.Linux.Resources)
	if fewProcesses(limits) {
		enough, copied := int64(3), *limits
		copied.Pids = &specs.LinuxPids{Limit: &enough}
		limits = &copied
	}
	g, warnings, err := cgroup.Create(c.record.Cgroup, limits)
	if err != nil {
		return err
	}
	c.group, c.paths = g, g.Paths()
	c.warnings = append(c.warnings, warnings...)
	c.plan.unified = unifiedOnly(c.paths)
	return nil
}

func fewProcesses(r *specs.LinuxResources) bool {
	return r != nil && r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit > 0 && *r.Pids.Limit < 3
}

// settle applies the limits that were put off.
func (c *creating) settle(context.Context) error {
	if err := c.group.Settle(); err != nil {
		return err
	}
	if limits := c.Spec.Linux.Resources; fewProcesses(limits) {
		return c.group.Update(&specs.LinuxResources{Pids: limits.Pids})
	}
	return nil
}

// fork makes the first process: in its namespaces, with its id maps.
func (c *creating) fork(ctx context.Context) (err error) {
	if c.listener, err = c.home.listen(); err != nil {
		return err
	}
	c.child, err = c.forkFirst(ctx)
	if err != nil {
		return err
	}
	c.warnings = append(c.warnings, c.child.checkOOMScore(c.Spec.Process.OOMScoreAdj)...)
	if c.Spec.Process.Terminal {
		return nil
	}
	return ownPipes(c.Spec.Process.User.UID, c.record.UIDs, c.Stdin, c.Stdout, c.Stderr)
}

// build makes the root file system while the caller plugs in the network, then
// records the process and lets it go on.
func (c *creating) build(ctx context.Context) error {
	result, err := c.attachAndBuild(ctx)
	err = result.Finish(err)
	c.warnings = append(c.warnings, result.Warnings...)
	c.child.terminal = result.ConsolePeer
	if result.Console != nil {
		var unpolled error
		c.console, unpolled = pollable(result.Console)
		err = errors.Join(err, unpolled)
	}
	return err
}

// attachAndBuild makes the root file system, and lets the caller plug in the network
// meanwhile.
func (c *creating) attachAndBuild(ctx context.Context) (result rootfs.Result, err error) {
	var special map[string]*os.File
	defer func() { closeAll(special) }()
	collect := func() (map[string]*os.File, error) {
		special, err = c.child.collect(ctx)
		return special, err
	}
	if c.Attach == nil { // it makes its mounts while we begin
		return c.buildRoot(ctx, rootfs.Target{Pid: c.child.pid, Collect: collect})
	}
	if _, err := collect(); err != nil {
		return result, err
	}
	both, inner := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		result, err = c.buildRoot(inner, rootfs.Target{Pid: c.child.pid, Special: special})
		return err
	})
	both.Go(func() error { return c.Attach(inner, c.child.pid) })
	err = both.Wait()
	return result, err
}

func (c *creating) buildRoot(ctx context.Context, t rootfs.Target) (rootfs.Result, error) {
	l := c.Spec.Linux
	setup := rootfs.Setup{
		Root: c.Root, Mounts: c.Spec.Mounts, Files: c.Files, Devices: l.Devices,
		Propagation: l.RootfsPropagation, Masked: l.MaskedPaths, ReadonlyPaths: l.ReadonlyPaths,
		User: c.Spec.Process.User, Terminal: c.Spec.Process.Terminal, ConsoleSize: c.Spec.Process.ConsoleSize,
		Lowers:  &c.runtime.lowers,
		NoPivot: c.runtime.noPivot, OneThread: c.runtime.oneThread,
	}
	if outside, inside := staging(hooksOf(c.Spec)); len(outside)+len(inside) > 0 {
		setup.Staged = c.staged
	}
	if c.Spec.Root != nil {
		setup.Path, setup.Readonly = c.Spec.Root.Path, c.Spec.Root.Readonly
	}
	if !c.plan.unified {
		setup.Cgroups = cgroupBinds(c.paths)
	}
	if c.record.UserNS {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", c.child.pid))
		if err != nil {
			return rootfs.Result{}, fmt.Errorf("cannot open the container's user namespace: %w", err)
		}
		defer f.Close()
		setup.UserNS, setup.UIDs, setup.GIDs = f, c.record.UIDs, c.record.GIDs
	}
	return rootfs.Build(ctx, t, setup)
}

// release records the process, lets the caller adopt it, and lets it go on to
// where it waits for Start.
func (c *creating) release(ctx context.Context) (err error) {
	rec := c.record
	rec.Pid, rec.StartTime, rec.Steps = c.child.pid, c.child.start, c.child.control.table
	rec.Control, rec.Listener = c.child.controlInode, c.child.listenInode
	rec.Filter = c.plan.program.filter
	if len(rec.Poststart) > 0 {
		if err := os.WriteFile(c.home.Name(poststartName), nil, 0o600); err != nil {
			return fmt.Errorf("cannot record that there are hooks: %w", err)
		}
	}
	text, err := c.home.write(rec)
	if err != nil {
		return err
	}
	if c.runtime.oneThread {
		c.runtime.last = written{rec, text}
	}
	if c.Adopt != nil {
		if err := c.Adopt(ctx, rec.Pid); err != nil {
			return err
		}
	}
	if err := c.child.control.send(ctx, msgGo, c.child.terminal); err != nil {
		return c.child.reason(ctx, err)
	}
	if _, err := c.child.control.expect(ctx, msgCreated); err != nil {
		return err
	}
	return c.child.control.finish(ctx) // from now on it is seen as created
}

// undo leaves nothing behind of a failed create.
func (c *creating) undo() error {
	var err error
	if c.child != nil {
		err = c.child.kill()
	}
	if c.console != nil {
		c.console.Close()
	}
	if c.group != nil && err == nil {
		err = c.group.Delete()
	}
	if err != nil {
		return err // the record stays, for Delete
	}
	if err := c.home.Remove(); err != nil || !c.hooked {
		return err
	}
	return c.record.afterwards(context.Background())
}

func (c *creating) close() {
	c.ns.close()
	if c.listener != nil {
		c.listener.Close()
	}
	if c.child != nil {
		c.child.close()
	}
}

// unifiedOnly says whether a group with these paths is one of cgroup v2 alone.
func unifiedOnly(paths map[string]string) bool {
	var dirs []string
	for _, dir := range paths {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return len(dirs) == 1 && paths["unified"] != ""
}

// cgroupBinds names the directories as rootfs shows them: joined controllers
// ("cpu,cpuacct") once.
func cgroupBinds(paths map[string]string) map[string]string {
	names := map[string][]string{}
	for name, dir := range paths {
		names[dir] = append(names[dir], name)
	}
	out := map[string]string{}
	for dir, list := range names {
		slices.Sort(list)
		name := strings.Join(list, ",")
		if name == "unified" {
			name = ""
		}
		out[name] = dir
	}
	return out
}

func closeAll(files map[string]*os.File) {
	for _, f := range files {
		f.Close()
	}
}
