package rootfs

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// layers describes one overlay: read-only trees, the topmost first, and what
// is written.
type layers struct {
	lowers      []string
	upper, work string // empty: a tmpfs that is mounted read-only in the end
	noLinks     bool   // on the way to the lowers
	unmapped    bool   // use the lowers' ids as they are
	mapped      bool   // upper and work have the container's ids on disk: see mapUpper
	upperFDs    upperFDs
	lowerFDs    []int
	stat        unix.Stat_t // of the topmost lower's root, ids as on disk
}

// unfitForUpper are file systems that overlayfs refuses to write to.
var unfitForUpper = []int64{
	unix.OVERLAYFS_SUPER_MAGIC, unix.NFS_SUPER_MAGIC, unix.V9FS_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.ECRYPTFS_SUPER_MAGIC,
}

// overlay makes the overlay as a detached mount, or leaves it to mountLegacy
// on kernels that cannot.
func (b *builder) overlay(l layers) (tree, error) {
	if err := b.openLowers(&l, b.setup.Lowers); err != nil {
		return tree{}, err
	}
	upper, work, err := b.openUpper(&l)
	if err != nil {
		return tree{}, err
	}
	fd, err := -1, error(unix.EINVAL)
	if !b.setup.oldKernel {
		fd, err = b.keep(b.mountAs(&l, func() (int, error) { return overlayMount(l.lowerFDs, upper, work, b.rootFlags()) }))
	}
	if err != nil && !oldKernel(err) {
		return tree{}, err
	}
	if err == nil {
		return tree{fd: fd}, nil
	}
	l.upperFDs.upper, l.upperFDs.work = upper, work
	if b.setup.Lowers != nil { // mountLegacy attaches them: they must be this container's own
		if err := b.openLowers(&l, nil); err != nil {
			return tree{}, err
		}
	}
	return tree{legacy: &l, cause: err, fd: -1}, nil
}

// oldKernel recognises the refusals of kernels whose overlayfs takes no
// descriptors (EOPNOTSUPP before 6.5, EINVAL before 6.13), no O_PATH ones
// (EBADF) or no detached mounts (EINVAL, before 6.15). An unfit upper directory
// is EINVAL too; mountLegacy falls back then.
func oldKernel(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EBADF) || errors.Is(err, unix.EOPNOTSUPP)
}

// openLowers opens each lower as a detached mount, id-mapped with a user
// namespace.
func (b *builder) openLowers(l *layers, keep *Lowers) error {
	l.lowerFDs = nil
	for i, dir := range l.lowers {
		got, err := keep.open(dir, &b.setup, b.setup.UserNS != nil && !l.unmapped, l.noLinks)
		if err != nil {
			return err
		}
		b.fds = append(b.fds, got.fd)
		l.lowerFDs = append(l.lowerFDs, got.fd)
		if i == 0 {
			l.stat = got.stat
		}
	}
	return nil
}

// openUpper opens upper and work directory. Without an upper, or with one that
// overlayfs cannot use, they lie on a tmpfs of their own.
func (b *builder) openUpper(l *layers) (upper, work int, err error) {
	if l.upper == "" {
		return b.tmpfsUpper(l)
	}
	if l.mapped && b.setup.UserNS != nil {
		return b.mapUpper(l)
	}
	if err := b.ensureUpper(l.upper, l.stat); err != nil {
		return -1, -1, err
	}
	if err := ensureDirectory(l.work); err != nil {
		return -1, -1, err
	}
	if upper, err = b.openDirectory(l.upper); err != nil {
		return -1, -1, err
	}
	kind, err := filesystemType(upper)
	if err != nil {
		return -1, -1, fmt.Errorf("cannot stat the file system of %q: %w", l.upper, err)
	}
	if slices.Contains(unfitForUpper, kind) {
		return b.volatileUpper(l)
	}
	work, err = b.openDirectory(l.work)
	return upper, work, err
}

// volatileUpper gives up the upper directory for a tmpfs.
func (b *builder) volatileUpper(l *layers) (upper, work int, err error) {
	b.warn("changes below %q are kept in memory only and lost when the container goes: "+
		"its file system cannot be the upper layer of an overlay", l.upper)
	l.upper, l.work = "", ""
	return b.tmpfsUpper(l)
}

func (b *builder) tmpfsUpper(l *layers) (upper, work int, err error) {
	fs := newFilesystem("tmpfs")
	fs.set("mode", "0700")
	top, err := b.keep(fs.mount(0))
	if err != nil {
		return -1, -1, err
	}
	return b.upperIn(top, l)
}

// upperIn makes the two directories on a tmpfs.
func (b *builder) upperIn(top int, l *layers) (upper, work int, err error) {
	for _, name := range []string{"upper", "work"} {
		if err := unix.Mkdirat(top, name, 0o700); err != nil {
			return -1, -1, fmt.Errorf("cannot make directory %q on tmpfs: %w", name, err)
		}
	}
	if upper, err = b.keep(openat(top, "upper", unix.O_RDONLY|unix.O_DIRECTORY, 0)); err != nil {
		return -1, -1, fmt.Errorf("cannot open a directory on tmpfs: %w", err)
	}
	if work, err = b.keep(openat(top, "work", unix.O_RDONLY|unix.O_DIRECTORY, 0)); err != nil {
		return -1, -1, fmt.Errorf("cannot open a directory on tmpfs: %w", err)
	}
	return upper, work, b.own(upper, l.stat)
}

func (b *builder) openDirectory(dir string) (int, error) {
	fd, err := b.keep(openat(unix.AT_FDCWD, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0))
	if err != nil {
		return -1, fmt.Errorf("cannot open directory %q: %w", dir, err)
	}
	return fd, nil
}

// overlayMount makes the overlay from descriptors. index=off lets an upper
// directory be used again after a crash left it mounted elsewhere; redirect_dir and
// metacopy, which some kernels turn on, would leave in it what is no layer by itself.
func overlayMount(lowers []int, upper, work int, flags uint64) (int, error) {
	fs := newFilesystem("overlay")
	fs.set("source", "overlay")
	fs.set("index", "off")
	fs.set("redirect_dir", "off")
	fs.set("metacopy", "off")
	for _, fd := range lowers {
		fs.setFD("lowerdir+", fd)
	}
	fs.setFD("upperdir", upper)
	fs.setFD("workdir", work)
	return fs.mount(flags)
}
