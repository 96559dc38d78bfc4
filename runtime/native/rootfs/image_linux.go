package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// lowerOption adds a read-only tree to a mount of type overlay, the topmost first:
// overlayfs' own option, which fsconfig(2) knows from Linux 6.5 on. An overlay of
// nothing else is made read-only and shows the container's ids.
const lowerOption = "lowerdir+="

// lowerDirs are the trees of a read-only overlay; nil for any other mount.
func (p *mount) lowerDirs() []string {
	if p.Type != "overlay" {
		return nil
	}
	var dirs []string
	for _, word := range p.data {
		dir, ok := strings.CutPrefix(word, lowerOption)
		if !ok {
			return nil
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// prepareImage overlays the layers of an image that is mounted as a volume. Where
// they cannot be id-mapped, files belong to nobody inside.
func (b *builder) prepareImage(dirs []string, p *mount) (*tree, error) {
	l := layers{lowers: dirs}
	t, err := b.overlay(l)
	if errors.Is(err, ErrNoIDMap) {
		b.warn("files of %q belong to nobody inside the container: %v", p.Destination, err)
		l.unmapped = true
		t, err = b.overlay(l)
	}
	return &t, err
}

// attachImage places such an overlay, or what lies at a path in it.
func (b *builder) attachImage(m *mount) error {
	fd, err := b.openImage(m)
	if err != nil {
		return err
	}
	return b.place(fd, m.Destination, false)
}

func (b *builder) openImage(m *mount) (int, error) {
	fd := m.layers.fd
	if m.subpath != "" {
		sub, err := inRoot(fd, m.subpath, 0)
		if err != nil {
			return -1, fmt.Errorf("cannot open its subpath %q: %w", m.subpath, err)
		}
		defer unix.Close(sub)
		if fd, err = b.keep(cloneTree(sub, "", false)); err != nil {
			return -1, fmt.Errorf("cannot open its subpath %q: %w", m.subpath, err)
		}
	}
	m.top.add(unix.MOUNT_ATTR_RDONLY, 0)
	return fd, m.apply(fd, b.setup.UserNS != nil)
}

// legacyTrees are those still to be mounted inside the container's namespace.
func (b *builder) legacyTrees() []*tree {
	var all []*tree
	for i := range b.overlays {
		all = append(all, &b.overlays[i])
	}
	for i := range b.mounts {
		if t := b.mounts[i].layers; t != nil {
			all = append(all, t)
		}
	}
	var left []*tree
	for _, t := range all {
		if t.legacy != nil {
			left = append(left, t)
		}
	}
	return left
}
