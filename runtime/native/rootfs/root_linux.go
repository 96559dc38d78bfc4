package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// tree is a detached tree that will be the root or lie inside it.
type tree struct {
	fd       int
	target   string
	readonly bool
	legacy   *layers // still to be mounted, inside the container's namespace
	cause    error   // why it was not mounted at once
}

// prepareRoot chooses how the root comes to be: an overlay of layers, a plain
// upper directory (no layers, overlays inside), or the directory Path.
func (b *builder) prepareRoot() error {
	r := b.setup.Root
	var err error
	switch {
	case len(r.Lowers) > 0:
		b.rootTree, err = b.prepareLayers(r)
	case r.Upper != "":
		b.rootTree, err = b.prepareEmptyRoot(r.Upper)
	case b.setup.Path != "":
		b.rootTree, err = b.prepareDirectory(b.setup.Path)
	default:
		err = errors.New("neither layers nor a directory are given")
	}
	if err != nil {
		return fmt.Errorf("cannot prepare the root file system: %w", err)
	}
	return nil
}

// prepareLayers overlays the image. Layers that cannot be id-mapped are
// copied, and so are all on a kernel without overlayfs.
func (b *builder) prepareLayers(r runtime.RootFS) (tree, error) {
	t, err := b.overlay(layers{lowers: r.Lowers, noLinks: r.NoLinks, upper: r.Upper, work: r.Work, mapped: r.Mapped})
	if r.Mapped && err != nil {
		return t, err // what is written must be kept
	}
	if errors.Is(err, ErrNoIDMap) || errors.Is(err, unix.ENODEV) {
		return b.copyInstead(err)
	}
	t.readonly = r.Upper == ""
	return t, err
}

// prepareOverlay shows a tree of the host copy-on-write. Where it cannot be
// id-mapped, its files belong to nobody inside, which is enough to read and
// execute what everybody may.
func (b *builder) prepareOverlay(o runtime.Overlay) (tree, error) {
	l := layers{lowers: []string{o.Lower}, upper: o.Upper, work: o.Work}
	t, err := b.overlay(l)
	if errors.Is(err, ErrNoIDMap) {
		b.warn("files of %q belong to nobody inside the container: %v", o.Target, err)
		l.unmapped = true
		t, err = b.overlay(l)
	}
	t.target = o.Target
	t.readonly = o.Upper == ""
	return t, err
}

// prepareEmptyRoot uses the upper directory itself: nothing lies beneath.
func (b *builder) prepareEmptyRoot(upper string) (tree, error) {
	if err := b.ensureUpper(upper, unix.Stat_t{Mode: 0o755}); err != nil {
		return tree{}, err
	}
	return b.bindTree(upper)
}

func (b *builder) prepareDirectory(dir string) (tree, error) {
	t, err := b.bindTree(dir)
	if err != nil {
		return tree{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return tree{}, fmt.Errorf("cannot stat %q: %w", dir, err)
	}
	if b.uids.holds(st.Uid) {
		return t, nil
	}
	if err := idMapMount(t.fd, int(b.setup.UserNS.Fd()), true, dir); err != nil {
		b.warn("files of the root file system belong to nobody inside the container: %v", err)
	}
	return t, nil
}

func (b *builder) bindTree(dir string) (tree, error) {
	fd, err := b.keep(cloneTree(unix.AT_FDCWD, dir, true))
	if err != nil {
		return tree{}, fmt.Errorf("cannot open %q: %w", dir, err)
	}
	attr := unix.MountAttr{Attr_set: b.rootFlags(), Propagation: unix.MS_PRIVATE}
	if err := setAttr(fd, true, attr); err != nil {
		return tree{}, fmt.Errorf("cannot make %q private: %w", dir, err)
	}
	return tree{fd: fd}, nil
}

// rootFlags: inside a user namespace nobody can make device nodes, so those
// that came with an image are not to be opened either.
func (b *builder) rootFlags() uint64 {
	outside := func(d specs.LinuxDevice) bool { return !below(path.Clean(d.Path), "/dev") }
	if b.setup.UserNS == nil || slices.ContainsFunc(b.setup.Devices, outside) {
		return 0
	}
	return unix.MOUNT_ATTR_NODEV
}

// idMapMount shows the ids of a detached mount through a user namespace. name
// is for the error, which is an IDMapError when the file system refuses.
func idMapMount(fd, userNS int, recursive bool, name string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userNS)}
	err := setAttr(fd, recursive, attr)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP):
		return &IDMapError{Source: name, Err: err}
	}
	return fmt.Errorf("cannot id-map %q: %w", name, err)
}
