package native

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/native/rootfs"
	"stack/runtime/native/transfer"
)

// Foreign lends what this runtime is made of to runtimes that are other programs
// (package external): they know directories and control groups, and no layers,
// files in memory or id-mapped volumes. The zero value is ready; it is safe for
// concurrent use.
type Foreign struct {
	// ReadStats is as in Options.
	ReadStats func(paths map[string]string) (runtime.Stats, error)

	names  rootfs.UserNamespaces
	lowers rootfs.Lowers
}

// Stage puts the root file system of b together; see rootfs.Stage for what that
// does to the calling thread, which also leaves its session keyring. keep are paths that must stay visible.
func (f *Foreign) Stage(ctx context.Context, b *runtime.Bundle, keep ...string) (runtime.Staged, error) {
	s := rootfs.Setup{
		Root: b.Root, Mounts: b.Spec.Mounts, Files: b.Files, Devices: b.Spec.Linux.Devices, User: b.Spec.Process.User,
		Namespaces: &f.names, Lowers: &f.lowers,
	}
	if b.Spec.Root != nil {
		s.Path, s.Readonly = b.Spec.Root.Path, b.Spec.Root.Readonly
		if !filepath.IsAbs(s.Path) {
			s.Path = filepath.Join(b.Directory, s.Path)
		}
	}
	var err error
	if s.UserNS, s.UIDs, s.GIDs, err = f.userNS(b.Spec.Linux); err != nil {
		return runtime.Staged{}, err
	}
	if s.UserNS != nil {
		defer s.UserNS.Close()
	}
	root, dir, err := rootfs.StageDirs(keep...)
	if err != nil {
		return runtime.Staged{}, err
	}
	if err := leaveKeyring(); err != nil {
		return runtime.Staged{}, err
	}
	return rootfs.Stage(ctx, root, dir, s)
}

// userNS opens a user namespace like the one that the container will have, or the
// one that it joins, whose mappings the specification need not repeat.
func (f *Foreign) userNS(l *specs.Linux) (ns *os.File, uids, gids []specs.LinuxIDMapping, err error) {
	for _, one := range l.Namespaces {
		switch {
		case one.Type != specs.UserNamespace:
		case one.Path == "":
			ns, err = f.names.Get(l.UIDMappings, l.GIDMappings)
			return ns, l.UIDMappings, l.GIDMappings, err
		default:
			return f.joinedUserNS(one, l)
		}
	}
	return nil, nil, nil, nil
}

func (f *Foreign) joinedUserNS(one specs.LinuxNamespace, l *specs.Linux) (*os.File, []specs.LinuxIDMapping, []specs.LinuxIDMapping, error) {
	ns, err := os.Open(one.Path)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("cannot open %s namespace: %w", one.Type, err)
	}
	own, err := ownNamespace(ns, one.Type)
	if err == nil && own {
		ns.Close()
		return nil, nil, nil, nil
	}
	uids, gids, err := f.IDMaps(one.Path, l)
	if err != nil {
		ns.Close()
	}
	return ns, uids, gids, err
}

// IDMaps are the mappings of a user namespace given as /proc/PID/ns/user, unless the
// specification has them.
func (f *Foreign) IDMaps(ns string, l *specs.Linux) (uids, gids []specs.LinuxIDMapping, err error) {
	if len(l.UIDMappings)+len(l.GIDMappings) > 0 {
		return l.UIDMappings, l.GIDMappings, nil
	}
	for _, m := range []struct {
		name string
		list *[]specs.LinuxIDMapping
	}{{"uid_map", &uids}, {"gid_map", &gids}} {
		b, err := os.ReadFile(path.Join(path.Dir(path.Dir(ns)), m.name))
		if err != nil {
			return nil, nil, fmt.Errorf("cannot read the id map of a user namespace: %w", err)
		}
		if *m.list, err = parseMap(string(b)); err != nil {
			return nil, nil, err
		}
	}
	return uids, gids, nil
}

// OwnPipes makes pipes for the standard files of p the user's; see ownPipes.
func (f *Foreign) OwnPipes(p *specs.Process, uids []specs.LinuxIDMapping, files ...*os.File) error {
	return ownPipes(p.User.UID, uids, files...)
}

// StartTime is field 22 of /proc/PID/stat; ErrNotRunning without such a process.
func (f *Foreign) StartTime(pid int) (uint64, error) {
	_, start, err := procStat(pid)
	return start, err
}

// OpenProcess returns a pidfd of the process that is known by pid and start time;
// ErrNotRunning when it has ended.
func (f *Foreign) OpenProcess(pid int, start uint64) (*os.File, error) {
	return openProcess(pid, start)
}

// KillProcess kills that process and waits until it has given up its namespaces.
func (f *Foreign) KillProcess(ctx context.Context, pid int, start uint64) error {
	return killProcess(ctx, pid, start)
}

// ThrowAway runs function on a thread that is never used again.
func (f *Foreign) ThrowAway(function func() error) error { return throwAway(function) }

// Root is Runtime.Root for a process; the mappings are those of its user namespace.
func (f *Foreign) Root(pid int, start uint64, uids, gids []specs.LinuxIDMapping) (*transfer.Root, error) {
	return treeOf(openRoot, pid, start, uids, gids)
}

// Bare is Runtime.Bare for a process.
func (f *Foreign) Bare(pid int, start uint64, uids, gids []specs.LinuxIDMapping) (*transfer.Root, error) {
	return treeOf(openBare, pid, start, uids, gids)
}

func treeOf(open func(int, uint64) (*os.File, error), pid int, start uint64, uids, gids []specs.LinuxIDMapping) (*transfer.Root, error) {
	root, err := open(pid, start)
	if err != nil {
		return nil, fmt.Errorf("cannot open the root of process %d: %w", pid, err)
	}
	return transfer.NewRoot(root, uids, gids), nil
}
