package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// restrict masks paths and makes others read-only. It runs after pivot, on the
// tree as the program will see it, and holds each object by descriptor, so that
// what is covered is what was looked at (CVE-2025-31133, CVE-2025-52565,
// CVE-2025-52881). What does not exist is skipped; what cannot be examined is
// an error.
func (b *builder) restrict() error {
	cover := covers{b: b, null: -1, empty: -1}
	for _, p := range b.setup.Masked {
		if err := cover.mask(p); err != nil {
			return fmt.Errorf("cannot mask %q: %w", p, err)
		}
	}
	for _, p := range b.setup.ReadonlyPaths {
		if err := b.makeReadonly(p); err != nil {
			return fmt.Errorf("cannot make %q read-only: %w", p, err)
		}
	}
	return nil
}

// examine opens a path of the container, or says that there is none. Below
// /proc and /sys it starts from the mount, not from the root: a directory on the
// way that another container has, too, may be another one by now, and the path
// missing there. Nothing but the kernel's own file systems is accepted there.
func (b *builder) examine(p string) (fd int, exists bool, err error) {
	p = path.Clean("/" + p)
	pseudo := b.pseudo(p)
	if pseudo == nil {
		fd, err = inRoot(b.root, p, 0)
	} else {
		fd, err = inRoot(pseudo.at, strings.TrimPrefix(p, path.Clean(pseudo.Destination)), 0)
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, err
	}
	if pseudo == nil {
		return fd, true, nil
	}
	if err := checkKind(fd, pseudo.Type); err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	return fd, true, nil
}

// pseudo is the procfs or sysfs that a path leads into, or nil.
func (b *builder) pseudo(p string) *mount {
	for i := range b.mounts {
		m := &b.mounts[i]
		if (m.Type == "proc" || m.Type == "sysfs") && m.attached && below(p, path.Clean(m.Destination)) && !b.covered(i, p) {
			return m
		}
	}
	return nil
}

// covered says whether a later mount lies between mount i and the path.
func (b *builder) covered(i int, p string) bool {
	for _, m := range b.mounts[i+1:] {
		if below(p, path.Clean(m.Destination)) {
			return true
		}
	}
	return false
}

// covers are what masked paths are covered with.
type covers struct {
	b     *builder
	null  int // the container's /dev/null, verified
	empty int // an empty read-only directory, attached once it was used
}

func (c *covers) mask(p string) error {
	target, exists, err := c.b.examine(p)
	if err != nil || !exists {
		return err
	}
	defer unix.Close(target)
	kind, err := fileType(target)
	if err != nil {
		return err
	}
	source := c.nullFile
	if kind == unix.S_IFDIR {
		source = c.emptyDirectory
	}
	fd, err := c.b.keep(source())
	if err != nil {
		return err
	}
	return attachAt(fd, target)
}

// nullFile is a detached copy of the container's /dev/null.
func (c *covers) nullFile() (int, error) {
	if c.null < 0 {
		fd, err := c.b.keep(inRoot(c.b.root, "/dev/null", unix.RESOLVE_NO_SYMLINKS))
		if err != nil {
			return -1, fmt.Errorf("cannot open /dev/null: %w", err)
		}
		c.null = fd
	}
	if err := checkNode(c.null, unix.S_IFCHR, unix.Mkdev(1, 3)); err != nil {
		return -1, fmt.Errorf("cannot trust /dev/null: %w", err)
	}
	fd, err := cloneTree(c.null, "", false)
	if err != nil {
		return -1, fmt.Errorf("cannot copy /dev/null: %w", err)
	}
	return fd, nil
}

// emptyDirectory is an empty read-only tmpfs: one for all masked directories.
func (c *covers) emptyDirectory() (int, error) {
	if c.empty >= 0 {
		return cloneTree(c.empty, "", false)
	}
	fs := newFilesystem("tmpfs")
	fs.set("mode", "0755")
	fs.set("nr_blocks", "1")
	fs.set("nr_inodes", "1")
	fd, err := fs.mount(unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	c.empty = fd
	return fd, err
}

// makeReadonly covers a path with a read-only view of itself. Mounts below it
// stay as they are.
func (b *builder) makeReadonly(p string) error {
	target, exists, err := b.examine(p)
	if err != nil || !exists {
		return err
	}
	defer unix.Close(target)
	fd, err := b.keep(cloneTree(target, "", true))
	if err != nil {
		return err
	}
	if err := setAttr(fd, false, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return err
	}
	return attachAt(fd, target)
}
