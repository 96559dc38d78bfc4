package rootfs

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// builder is one Build under way.
type builder struct {
	ctx        context.Context
	target     Target
	setup      Setup
	uids, gids idMap
	rootUID    uint32 // host ids of the container's root
	rootGID    uint32

	rootTree  tree
	overlays  []tree
	mounts    []mount
	namespace int // the container's mount namespace
	// stage is the directory that Stage uses, empty in Build.
	stage string

	root    int // the container's root, once attached
	dev     int // its /dev when that is our tmpfs, or -1
	pts     int // its devpts, or -1
	scratch int // see scratchDir, -1 until needed
	nodes   int // how many scratch directories there are

	fds    []int // closed at the end
	result Result
}

// Build makes the container's root file system in the mount namespace of
// t.Pid and pivots into it. It needs the host's root privileges. When it fails,
// the mounts it made die with that namespace; directories it created stay. The
// process's working directory may still be in the host's tree afterwards: it
// must change it before anything of the container runs.
func Build(ctx context.Context, t Target, s Setup) (Result, error) {
	b := &builder{ctx: ctx, target: t, setup: s, namespace: -1, root: -1, dev: -1, pts: -1, scratch: -1}
	defer b.close()
	for _, step := range []func() error{b.identify, b.prepare} {
		if err := step(); err != nil {
			return Result{}, err
		}
	}
	run := throwAway
	if s.OneThread && s.Staged == nil {
		run = visit
	}
	if err := run(b.inside); err != nil {
		b.result.close()
		return Result{}, err
	}
	return b.result, nil
}

// identify finds the container's ids and its mount namespace.
func (b *builder) identify() error {
	err := b.ids()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("/proc/%d/ns/mnt", b.target.Pid)
	b.namespace, err = b.keep(openat(unix.AT_FDCWD, name, unix.O_RDONLY, 0))
	if err != nil {
		return fmt.Errorf("cannot open mount namespace %q: %w", name, err)
	}
	return nil
}

// ids finds the container's ids.
func (b *builder) ids() (err error) {
	if b.setup.UserNS != nil {
		b.uids, b.gids = nonNil(b.setup.UIDs), nonNil(b.setup.GIDs)
	}
	if b.rootUID, err = b.hostUID(0); err != nil {
		return err
	}
	b.rootGID, err = b.hostGID(0)
	return err
}

func nonNil(m []specs.LinuxIDMapping) idMap {
	if m == nil {
		return idMap{}
	}
	return m
}

// prepare opens everything that is found by a path of the host, while the
// calling thread is still in the host's mount namespace.
func (b *builder) prepare() error {
	if err := b.prepareRoot(); err != nil {
		return err
	}
	for _, o := range b.setup.Root.Overlays {
		t, err := b.prepareOverlay(o)
		if err != nil {
			return fmt.Errorf("cannot prepare overlay at %q: %w", o.Target, err)
		}
		b.overlays = append(b.overlays, t)
	}
	mounts := b.setup.Mounts
	if b.stage == "" {
		mounts = b.plannedMounts()
	}
	for _, m := range mounts {
		if b.stage != "" && !staged(m) {
			continue
		}
		p, err := b.prepareMount(m)
		if err != nil {
			return fmt.Errorf("cannot prepare mount at %q: %w", m.Destination, err)
		}
		b.mounts = append(b.mounts, p)
	}
	return b.ctx.Err()
}

// plannedMounts are the asked ones, and those without which no program runs:
// /dev and /dev/pts.
func (b *builder) plannedMounts() []specs.Mount {
	all := b.setup.Mounts
	has := func(dest string) bool {
		return slices.ContainsFunc(all, func(m specs.Mount) bool { return path.Clean(m.Destination) == dest })
	}
	ownDev := has("/dev")
	if !ownDev {
		all = append([]specs.Mount{{
			Destination: "/dev", Type: "tmpfs", Source: "tmpfs",
			Options: []string{"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"},
		}}, all...)
	}
	if has("/dev/pts") || (ownDev && !b.setup.Terminal) {
		return all
	}
	at := 1 + slices.IndexFunc(all, func(m specs.Mount) bool { return path.Clean(m.Destination) == "/dev" })
	return slices.Insert(slices.Clone(all), at, specs.Mount{
		Destination: "/dev/pts", Type: "devpts", Source: "devpts",
		Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
	})
}

// inside runs on the throw-away thread.
func (b *builder) inside() error {
	for _, step := range []func() error{
		func() error { return join(b.namespace) },
		b.isolate,
		b.attachRoot,
		b.collect,
		func() error { return createAs(b.rootUID, b.rootGID) },
		b.attachOverlays,
		b.attachMounts,
		b.attachDevices,
		b.attachConsole,
		b.attachFiles,
		b.staged,
		b.pivot,
		b.restrict,
		b.seal,
	} {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) collect() (err error) {
	if b.target.Collect != nil {
		b.target.Special, err = b.target.Collect()
	}
	return err
}

func (b *builder) staged() error {
	if b.setup.Staged == nil {
		return nil
	}
	return b.setup.Staged(b.ctx)
}

// place puts a detached mount at a path inside the root and makes the path
// when it is missing.
func (b *builder) place(mount int, dest string, noLinks bool) error {
	kind, err := fileType(mount)
	if err != nil {
		return err
	}
	target, err := ensure(b.root, dest, kind == unix.S_IFDIR, noLinks)
	if err != nil {
		return fmt.Errorf("cannot open mount point %q: %w", dest, err)
	}
	defer unix.Close(target)
	if err := attachAt(mount, target); err != nil {
		return fmt.Errorf("cannot mount at %q: %w", dest, err)
	}
	return nil
}

func (b *builder) hostUID(id uint32) (uint32, error) {
	host, ok := b.uids.host(id)
	if !ok {
		return 0, fmt.Errorf("uid %d is not mapped in the container's user namespace", id)
	}
	return host, nil
}

func (b *builder) hostGID(id uint32) (uint32, error) {
	host, ok := b.gids.host(id)
	if !ok {
		return 0, fmt.Errorf("gid %d is not mapped in the container's user namespace", id)
	}
	return host, nil
}

func (b *builder) warn(format string, args ...any) {
	b.result.Warnings = append(b.result.Warnings, fmt.Sprintf(format, args...))
}

// keep closes fd when Build ends.
func (b *builder) keep(fd int, err error) (int, error) {
	if err == nil {
		b.fds = append(b.fds, fd)
	}
	return fd, err
}

func (b *builder) close() {
	for _, fd := range b.fds {
		unix.Close(fd)
	}
}

func (r *Result) close() {
	for _, u := range r.Unfinished {
		u.file.Close()
	}
	for _, f := range []*os.File{r.Console, r.ConsolePeer} {
		if f != nil {
			f.Close()
		}
	}
}

// below says whether the clean path p is dir or lies under it.
func below(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
