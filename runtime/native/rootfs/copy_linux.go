package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// copier copies one tree into another by descriptors, never through a link.
type copier struct {
	top    int // destination's root, for hard links
	owner  func(uid, gid uint32) (int, int)
	layers bool // understand overlayfs's whiteouts and opaque directories
	links  map[[2]uint64]string
}

func sameOwner(uid, gid uint32) (int, int) { return int(uid), int(gid) }

// copyTree copies what the directory src holds into dst, with modes, extended
// attributes, times and hard links. owner turns source ids into destination ids.
func copyTree(src, dst int, owner func(uid, gid uint32) (int, int)) error {
	c := copier{top: dst, owner: owner, links: map[[2]uint64]string{}}
	return c.directory(src, dst, "")
}

// directory copies what src holds; at is where dst lies below the top.
func (c *copier) directory(src, dst int, at string) error {
	names, err := readNames(src)
	if err != nil {
		return fmt.Errorf("cannot read %q: %w", "/"+at, err)
	}
	for _, name := range names {
		where := strings.TrimPrefix(at+"/"+name, "/")
		if err := c.entry(src, dst, name, where); err != nil {
			return fmt.Errorf("cannot copy %q: %w", "/"+where, err)
		}
	}
	return nil
}

func readNames(dir int) ([]string, error) {
	fd, err := openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	return f.Readdirnames(-1)
}

func (c *copier) entry(src, dst int, name, where string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(src, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if c.layers {
		gone, err := c.makeRoom(dst, name, st)
		if err != nil || gone {
			return err
		}
	}
	kind := st.Mode & unix.S_IFMT
	if kind != unix.S_IFDIR && st.Nlink > 1 {
		inode := [2]uint64{st.Dev, st.Ino}
		if first, ok := c.links[inode]; ok {
			return unix.Linkat(c.top, first, dst, name, 0)
		}
		c.links[inode] = where
	}
	switch kind {
	case unix.S_IFDIR:
		return c.subdirectory(src, dst, name, where, st)
	case unix.S_IFREG:
		return c.file(src, dst, name, st)
	case unix.S_IFLNK:
		return c.symlink(src, dst, name, st)
	}
	if err := unix.Mknodat(dst, name, st.Mode, int(st.Rdev)); err != nil {
		return err
	}
	return c.plain(dst, name, st)
}

func (c *copier) subdirectory(src, dst int, name, where string, st unix.Stat_t) error {
	from, err := openat(src, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	if err := unix.Mkdirat(dst, name, 0o700); err != nil && !(c.layers && errors.Is(err, unix.EEXIST)) {
		return err
	}
	to, err := openat(dst, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	if c.layers {
		if err := c.clearOpaque(from, to); err != nil {
			return err
		}
	}
	if err := c.directory(from, to, where); err != nil {
		return err
	}
	return c.metadata(from, to, st)
}

func (c *copier) file(src, dst int, name string, st unix.Stat_t) error {
	from, err := openat(src, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(from), name)
	defer in.Close()
	if kind, err := fileType(from); err != nil || kind != unix.S_IFREG {
		return errors.Join(err, errors.New("it changed while it was copied"))
	}
	to, err := openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(to), name)
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return c.metadata(from, to, st)
}

func (c *copier) symlink(src, dst int, name string, st unix.Stat_t) error {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(src, name, buf)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(string(buf[:n]), dst, name); err != nil {
		return err
	}
	return c.ownLink(dst, name, st)
}

func (c *copier) ownLink(dst int, name string, st unix.Stat_t) error {
	uid, gid := c.owner(st.Uid, st.Gid)
	if err := unix.Fchownat(dst, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	return unix.UtimesNanoAt(dst, name, times(st), unix.AT_SYMLINK_NOFOLLOW)
}

// plain finishes what cannot be opened: a device, a pipe, a socket.
func (c *copier) plain(dst int, name string, st unix.Stat_t) error {
	if err := c.ownLink(dst, name, st); err != nil {
		return err
	}
	return unix.Fchmodat(dst, name, st.Mode&0o7777, 0)
}

// metadata finishes a file or directory. The owner comes first: changing it
// clears set-id bits and file capabilities.
func (c *copier) metadata(from, to int, st unix.Stat_t) error {
	uid, gid := c.owner(st.Uid, st.Gid)
	if err := unix.Fchown(to, uid, gid); err != nil {
		return err
	}
	if err := unix.Fchmod(to, st.Mode&0o7777); err != nil {
		return err
	}
	if err := copyXattrs(from, to); err != nil {
		return err
	}
	t := times(st)
	return unix.UtimesNanoAt(to, "", t, unix.AT_EMPTY_PATH)
}

func times(st unix.Stat_t) []unix.Timespec { return []unix.Timespec{st.Atim, st.Mtim} }

// copyXattrs copies extended attributes but overlayfs's own. What the
// destination does not know is left out.
func copyXattrs(from, to int) error {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(from, list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list extended attributes: %w", err)
	}
	value := []byte(nil)
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		if value == nil {
			value = make([]byte, 64<<10)
		}
		n, err := unix.Fgetxattr(from, name, value)
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:n], 0)
		}
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENODATA) {
			return fmt.Errorf("cannot copy extended attribute %q: %w", name, err)
		}
	}
	return nil
}
