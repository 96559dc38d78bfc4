package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"stack/runtime/native/rootfs"
)

// HostDirectory is a directory of the host as a tree that nothing leads out of.
func HostDirectory(name string) (*Root, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Root{dir: newFile(fd, name), host: true}, nil
}

// SyncOptions say how Sync writes.
type SyncOptions struct {
	// Compare leaves files alone whose content is the same.
	Compare bool
	// As, unless empty, is the name that a single file gets.
	As string
}

// Sync makes paths below the directory target of a container what they are below
// from: written, or gone. A file that is there keeps its inode and its owner: it is
// written in place. A new one is its directory's owner's. Set-id bits, devices,
// FIFOs and sockets are left out.
//
// No link is followed below target, and nothing is removed across a mount. What
// cannot be done of one path does not keep the others back; errors are joined.
func (r *Root) Sync(ctx context.Context, target string, from *Root, paths []string, o SyncOptions) error {
	uid, okUID := r.uids.toHost(0)
	gid, okGID := r.gids.toHost(0)
	if !okUID || !okGID {
		return errors.New("the container has no root user")
	}
	return rootfs.As(uid, gid, func() error {
		s := &syncer{root: r, opts: o, here: lastDirectory{root: from.fd()}, uid: uid, gid: gid}
		defer s.here.close()
		defer s.there.close()
		top, err := s.top(path.Join("/", target))
		if err != nil {
			return fmt.Errorf("cannot open %s in the container: %w", target, err)
		}
		defer unix.Close(top)
		s.dir, s.there.root = top, top
		return s.all(ctx, paths)
	})
}

// syncer writes below one directory of a container.
type syncer struct {
	root        *Root
	dir         int
	opts        SyncOptions
	here, there lastDirectory
	uid, gid    uint32 // of what it makes
	content     []byte // of one file after the other
}

// lastDirectory keeps the directory that was opened last below root: neighbours come
// one after the other.
type lastDirectory struct {
	root int
	name string // "" for none
	fd   int
	stat *unix.Stat_t // once asked for
}

// open gives a directory that stays open until the next call.
func (d *lastDirectory) open(name string) (int, error) {
	if d.name == name {
		return d.fd, nil
	}
	d.close()
	fd, err := rootfs.OpenBeneath(d.root, name, unix.O_DIRECTORY)
	if err == nil {
		d.name, d.fd = name, fd
	}
	return fd, err
}

// owner is whose the directory is that fd refers to; it is asked once for the one
// that stays open.
func (d *lastDirectory) owner(fd int) (*unix.Stat_t, error) {
	kept := d.name != "" && d.fd == fd
	if kept && d.stat != nil {
		return d.stat, nil
	}
	st := new(unix.Stat_t)
	err := unix.Fstat(fd, st)
	if kept && err == nil {
		d.stat = st
	}
	return st, err
}

func (d *lastDirectory) close() {
	if d.name != "" {
		unix.Close(d.fd)
		d.name, d.stat = "", nil
	}
}

// top opens the target, making what is missing of it. Links on the way are the
// image's own and stay inside the root.
func (s *syncer) top(name string) (int, error) {
	fd, err := rootfs.OpenInRoot(s.root.fd(), name, unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) || name == "/" {
		return fd, err
	}
	up, err := s.top(path.Dir(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(up)
	return s.makeDirectory(up, path.Base(name), 0o755)
}

// all syncs every path: first what is gone, deepest first, so that a name can
// change its kind; then directories before what they hold.
func (s *syncer) all(ctx context.Context, paths []string) error {
	paths = slices.Sorted(slices.Values(paths))
	var there []existing
	var errs []error
	fail := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot sync %s: %w", name, err))
		}
	}
	for _, name := range slices.Backward(paths) {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch kind, err := s.kind(name); {
		case err != nil:
			fail(name, err)
		case kind == 0:
			fail(name, s.remove(s.named(name)))
		default:
			there = append(there, existing{name, kind})
		}
	}
	s.here.close() // what was looked at may be another one by now
	for _, e := range slices.Backward(there) {
		if err := ctx.Err(); err != nil {
			return err
		}
		fail(e.name, s.one(e))
	}
	return errors.Join(errs...)
}

// named is what a path is called in the container.
func (s *syncer) named(name string) string { return cmp.Or(s.opts.As, name) }

// existing is a path of the source with its kind, a bit of S_IFMT.
type existing struct {
	name string
	kind uint32
}

// kind is 0 for what is gone.
func (s *syncer) kind(name string) (uint32, error) {
	if !fs.ValidPath(name) {
		return 0, errors.New("the name leads out of the directory")
	}
	var st unix.Stat_t
	dir, err := s.here.open(path.Dir(name))
	if err == nil {
		err = unix.Fstatat(dir, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	// A directory on the way may have become a file, or a link.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return 0, nil
	}
	return st.Mode & unix.S_IFMT, err
}

// one brings a path that exists. What is no regular file is not opened but to look
// at: a FIFO would wait, a device might do something.
func (s *syncer) one(e existing) error {
	name, flags := e.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC
	if e.kind == unix.S_IFREG {
		flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	}
	dir, err := s.here.open(path.Dir(name))
	src := -1
	if err == nil {
		src, err = unix.Openat(dir, path.Base(name), flags, 0)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil // gone since: an event will tell
	}
	if err != nil {
		return err
	}
	defer unix.Close(src)
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if kind != e.kind || kind != unix.S_IFREG && kind != unix.S_IFDIR && kind != unix.S_IFLNK {
		return nil // of another kind since: an event will tell
	}
	if name == "." {
		return nil
	}
	parent, err := s.parent(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(s.named(name))
	switch kind {
	case unix.S_IFDIR:
		return s.directory(parent, base, st.Mode)
	case unix.S_IFLNK:
		return s.link(parent, base, src)
	}
	return s.file(parent, base, src, &st)
}

// parent opens a directory below the target, making what is missing as it is in
// the source.
func (s *syncer) parent(dir string) (int, error) {
	fd, err := s.there.open(dir)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	if err := s.one(existing{dir, unix.S_IFDIR}); err != nil {
		return -1, err
	}
	return s.there.open(dir)
}

func (s *syncer) directory(parent int, name string, mode uint32) error {
	if st, err := lstat(parent, name); err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := unlink(parent, name); err != nil {
			return err
		}
	}
	fd, err := s.makeDirectory(parent, name, mode&0o777)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return chmod(fd, mode)
}

// makeDirectory opens a directory; one that it makes belongs to its parent's owner.
func (s *syncer) makeDirectory(parent int, name string, mode uint32) (int, error) {
	fd, made, err := makeDirectory(parent, name, mode)
	if err == nil && made {
		err = s.inherit(parent, fd)
	}
	if err != nil && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	return fd, err
}

// inherit gives what was just made, and is held open, to the directory's owner.
func (s *syncer) inherit(parent, fd int) error {
	dir, err := s.there.owner(parent)
	if err != nil || dir.Uid == s.uid && dir.Gid == s.gid || !s.root.holds(dir.Uid, dir.Gid) {
		return err
	}
	return unix.Fchownat(fd, "", int(dir.Uid), int(dir.Gid), unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
}

// holds reports whether ids of the host are the container's.
func (r *Root) holds(uid, gid uint32) bool {
	return r.uids.holds(uid) && r.gids.holds(gid)
}

// chmod gives what fd (O_PATH) refers to the permissions of mode.
func chmod(fd int, mode uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&0o7777 == mode&0o777 {
		return err
	}
	return unix.Chmod(fdPath(fd), mode&0o777)
}

func lstat(dir int, name string) (*unix.Stat_t, error) {
	st := new(unix.Stat_t)
	return st, unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW)
}

// link makes a link that leads where the source's does; where that is inside a
// container is the container's affair.
func (s *syncer) link(parent int, name string, src int) error {
	to, err := readLink(src, "")
	if err != nil {
		return err
	}
	if old, err := readLink(parent, name); err == nil && old == to {
		return nil
	}
	return s.replace(parent, name, func(temporary string) error {
		if err := unix.Symlinkat(to, parent, temporary); err != nil {
			return err
		}
		fd, err := openPath(parent, temporary)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return s.inherit(parent, fd)
	})
}

// replace puts what mk makes under a temporary name in the place of name.
func (s *syncer) replace(parent int, name string, mk func(temporary string) error) error {
	if st, err := lstat(parent, name); err == nil {
		if err := unmounted(parent, name); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			if err := removeAll(parent, name); err != nil {
				return err
			}
		}
	}
	return s.put(parent, name, mk)
}

// put is replace for a name that nothing has, or nothing of worth.
func (s *syncer) put(parent int, name string, mk func(temporary string) error) error {
	temporary := temporaryName()
	err := mk(temporary)
	if err == nil {
		err = put(parent, temporary, name)
	}
	if err != nil {
		unix.Unlinkat(parent, temporary, 0)
	}
	return err
}
