package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Stage puts together what a foreign runtime can pivot into by itself, in a mount
// namespace of the calling thread's own: it is moved there for ever, so it must be
// locked and one to be thrown away. What is forked from it sees the stage; nothing
// stays when the last of those has ended.
//
// The root covers one directory of the host, which foreign runtimes also want to
// find there later (runc for each exec), and a tmpfs with the rest another; everybody
// may pass both, since the container's root does: see StageDirs. Binds, images and file systems are
// ready there, id-mapped and with their options, and the runtime has only to bind
// them; what belongs to its namespaces (proc, tmpfs, devpts) is left to it. The
// caller calls Finish.
//
//	ROOT           the root, overlays included
//	DIR/mounts/N   the source of a mount
//	DIR/scratch    see scratchDir
func Stage(ctx context.Context, root, dir string, s Setup) (runtime.Staged, error) {
	b := &builder{ctx: ctx, setup: s, namespace: -1, root: -1, dev: -1, pts: -1, scratch: -1, stage: dir}
	defer b.close()
	var out runtime.Staged
	for _, step := range []func() error{
		b.ids,
		b.prepare,
		separate,
		b.isolate,
		b.openStage,
		func() error { return b.attachRootAt(root) },
		func() error { return createAs(b.rootUID, b.rootGID) },
		b.attachOverlays,
		b.pointsInOverlays,
		b.sealOverlays,
		func() error { return b.stageMounts(&out) },
		func() error { return b.stageFiles(&out) },
		createAsRoot,
	} {
		err := ctx.Err()
		if err == nil {
			err = step()
		}
		if err != nil {
			b.result.close()
			return runtime.Staged{}, err
		}
	}
	out.Root, out.Readonly = root, s.Readonly || b.rootTree.readonly
	out.Warnings, out.Finish = b.result.Warnings, b.result.Finish
	return out, nil
}

// separate moves the calling thread into a copy of its mount namespace.
func separate() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make a mount namespace: %w", err)
	}
	return nil
}

// staged says whether a mount is prepared on the stage: it needs what only the host's
// mount namespace has, or runtimes disagree about it.
func staged(m specs.Mount) bool {
	switch m.Type {
	case "tmpfs": // runc before 1.2 gives it the mode of what it covers
		return !below(path.Clean(m.Destination), "/dev")
	case "devpts", "cgroup", "cgroup2", "proc", "sysfs", "mqueue":
		return parseOptions(m.Options).bind
	}
	return true
}

func (b *builder) staging(words ...string) string {
	return filepath.Join(append([]string{b.stage}, words...)...)
}

func (b *builder) openStage() error {
	fs := newFilesystem("tmpfs")
	fs.set("source", "stage")
	fs.set("mode", "0755")
	fd, err := b.keep(fs.mount(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV))
	if err != nil {
		return err
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, b.stage, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot attach the stage at %q: %w", b.stage, err)
	}
	for _, name := range []string{"mounts", "scratch"} {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			return fmt.Errorf("cannot make a directory of the stage: %w", err)
		}
	}
	b.scratch, err = b.keep(openat(fd, "scratch", unix.O_PATH|unix.O_DIRECTORY, 0))
	if err == nil {
		err = unix.Fchmodat(fd, "scratch", 0o700, 0)
	}
	return err
}

// stageMounts attaches what was prepared and rewrites the list of mounts.
func (b *builder) stageMounts(out *runtime.Staged) error {
	prepared := b.mounts
	for _, m := range b.setup.Mounts {
		if staged(m) {
			var err error
			if m, err = b.stageMount(&prepared[0], len(out.Mounts)); err != nil {
				return fmt.Errorf("cannot prepare mount at %q: %w", prepared[0].Destination, err)
			}
			prepared = prepared[1:]
		}
		out.Mounts = append(out.Mounts, m)
	}
	return nil
}

func (b *builder) stageMount(m *mount, n int) (specs.Mount, error) {
	fd, err := b.ready(m)
	if err != nil {
		return specs.Mount{}, err
	}
	source, err := b.stageAt(n, fd)
	if err != nil {
		return specs.Mount{}, err
	}
	options := []string{"rbind"}
	for _, word := range m.Options {
		if _, ok := propagationOf(word); ok {
			options = append(options, word)
		}
	}
	return specs.Mount{Destination: m.Destination, Type: "bind", Source: source, Options: options}, nil
}

// ready is a detached mount with all its options.
func (b *builder) ready(m *mount) (int, error) {
	switch {
	case m.bind || m.Type == "bind":
		return m.fd, nil
	case m.layers != nil:
		return b.openImage(m)
	case m.Type == "tmpfs":
		return b.readyTmpfs(m)
	}
	return m.fd, propagate(m.fd, m.propagation, b.setup.UserNS != nil)
}

func (b *builder) readyTmpfs(m *mount) (int, error) {
	covered, err := inRoot(b.root, m.Destination, 0)
	fresh := errors.Is(err, unix.ENOENT)
	if err != nil && !fresh {
		return -1, fmt.Errorf("cannot open mount point: %w", err)
	}
	if !fresh {
		defer unix.Close(covered)
	}
	fd, err := b.makeTmpfs(m, covered, fresh)
	if err != nil {
		return -1, err
	}
	return fd, b.settleTmpfs(m, fd)
}

// stageAt attaches a detached mount as the n-th of the stage.
func (b *builder) stageAt(n, fd int) (string, error) {
	name := b.staging("mounts", strconv.Itoa(n))
	kind, err := fileType(fd)
	if err != nil {
		return "", err
	}
	if kind == unix.S_IFDIR {
		err = os.Mkdir(name, 0o755)
	} else {
		err = os.WriteFile(name, nil, 0o644)
	}
	if err != nil {
		return "", err
	}
	return name, unix.MoveMount(fd, "", unix.AT_FDCWD, name, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func (b *builder) stageFiles(out *runtime.Staged) error {
	return b.eachFile(func(i, fd int) error {
		source, err := b.stageAt(len(out.Mounts), fd)
		out.Mounts = append(out.Mounts, specs.Mount{
			Destination: b.setup.Files[i].Target, Type: "bind", Source: source, Options: []string{"bind"},
		})
		return err
	})
}

// pointsInOverlays makes the mount points that lie in overlays nobody may write to
// later.
func (b *builder) pointsInOverlays() error {
	point := func(dest string, dir bool) error {
		for _, t := range b.overlays {
			if !b.seals(t) || !below(path.Clean(dest), t.target) {
				continue
			}
			fd, err := ensure(b.root, dest, dir, false)
			if err != nil {
				return fmt.Errorf("cannot make mount point %q: %w", dest, err)
			}
			unix.Close(fd)
		}
		return nil
	}
	for _, m := range b.setup.Mounts {
		info, err := os.Stat(m.Source)
		isFile := parseOptions(m.Options).bind && err == nil && !info.IsDir()
		if err := point(m.Destination, !isFile); err != nil {
			return err
		}
	}
	for _, f := range b.setup.Files {
		if err := point(f.Target, false); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) seals(t tree) bool { return b.setup.Readonly || t.readonly }

// sealOverlays makes those read-only that nobody may write to. The root is the
// foreign runtime's to seal, after it made its mount points.
func (b *builder) sealOverlays() error {
	for _, t := range b.overlays {
		if !b.seals(t) {
			continue
		}
		if err := setAttr(t.fd, false, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("cannot make %q read-only: %w", t.target, err)
		}
	}
	return nil
}

// StageDirs finds directories for Stage: two of the host's that everybody may pass,
// and that none of the paths lies in, since they will be covered.
func StageDirs(paths ...string) (root, dir string, err error) {
	var found []string
	for _, dir := range []string{"/mnt", "/media", "/srv", "/opt", "/home"} {
		covers := func(p string) bool { return below(filepath.Clean(p), dir) }
		st, err := os.Lstat(dir)
		if err == nil && st.IsDir() && st.Mode().Perm()&0o001 != 0 && !slices.ContainsFunc(paths, covers) {
			found = append(found, dir)
		}
		if len(found) == 2 {
			return found[0], found[1], nil
		}
	}
	return "", "", errors.New("cannot find two directories to put a root file system together in: make /mnt and /media")
}
