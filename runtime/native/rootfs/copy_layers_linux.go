package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// copiedMark is a file in the work directory; it says that the upper directory
// holds a complete copy of the image.
const copiedMark = "copied"

// copyInstead copies the image where no overlay of it can be mounted.
func (b *builder) copyInstead(cause error) (tree, error) {
	r := b.setup.Root
	if r.Upper == "" {
		return tree{}, cause
	}
	b.warn("the root file system is a copy of its image: %v", cause)
	return b.copyLayers(layers{lowers: r.Lowers, upper: r.Upper, work: r.Work})
}

// copyLayers makes the upper directory a full copy of the image, owned by the
// container's ids, and uses it as the root. A copy that a crash cut short is
// made again.
func (b *builder) copyLayers(l layers) (tree, error) {
	mark := filepath.Join(l.work, copiedMark)
	if _, err := os.Lstat(mark); err == nil {
		return b.bindTree(l.upper)
	}
	if err := os.RemoveAll(l.upper); err != nil {
		return tree{}, fmt.Errorf("cannot remove an unfinished copy: %w", err)
	}
	for _, dir := range []string{l.upper, l.work} {
		if err := ensureDirectory(dir); err != nil {
			return tree{}, err
		}
	}
	for _, lower := range slices.Backward(l.lowers) {
		if err := b.ctx.Err(); err != nil {
			return tree{}, err
		}
		if err := b.copyLayer(lower, l.upper); err != nil {
			return tree{}, fmt.Errorf("cannot copy layer %q: %w", lower, err)
		}
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return tree{}, fmt.Errorf("cannot mark the copy as complete: %w", err)
	}
	return b.bindTree(l.upper)
}

func (b *builder) copyLayer(lower, upper string) error {
	src, err := b.openDirectory(lower)
	if err != nil {
		return err
	}
	dst, err := b.openDirectory(upper)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	c := copier{top: dst, owner: b.mappedOwner, layers: true, links: map[[2]uint64]string{}}
	if err := c.directory(src, dst, ""); err != nil {
		return err
	}
	return c.metadata(src, dst, st)
}

// mappedOwner turns a layer's ids into the host's; what the container has no
// id for goes to its root.
func (b *builder) mappedOwner(uid, gid uint32) (int, int) {
	hostUID, ok := b.uids.host(uid)
	if !ok {
		hostUID = b.rootUID
	}
	hostGID, ok := b.gids.host(gid)
	if !ok {
		hostGID = b.rootGID
	}
	return int(hostUID), int(hostGID)
}

// makeRoom removes what an upper layer hides: gone says that the entry itself
// is a whiteout. A directory over a directory merges.
func (c *copier) makeRoom(dst int, name string, st unix.Stat_t) (gone bool, err error) {
	gone = st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
	var old unix.Stat_t
	err = unix.Fstatat(dst, name, &old, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return gone, nil
	}
	if err != nil {
		return gone, err
	}
	isDir := func(s unix.Stat_t) bool { return s.Mode&unix.S_IFMT == unix.S_IFDIR }
	if isDir(st) && isDir(old) {
		return false, nil
	}
	return gone, removeIn(dst, name)
}

// clearOpaque empties a directory whose upper layer hides everything below.
func (c *copier) clearOpaque(from, to int) error {
	value := make([]byte, 1)
	n, err := unix.Fgetxattr(from, "trusted.overlay.opaque", value)
	if err != nil || n != 1 || value[0] != 'y' {
		return nil
	}
	names, err := readNames(to)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := removeIn(to, name); err != nil {
			return err
		}
	}
	return nil
}

func removeIn(dir int, name string) error {
	root, err := os.OpenRoot(procPath(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(name)
}
