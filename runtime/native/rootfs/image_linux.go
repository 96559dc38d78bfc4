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

// overlaid are the trees of an overlay: read-only ones alone or, in a snapshot of a
// build, with an upper directory that has the container's ids on disk. Without lower
// trees it is another mount.
func (p *mount) overlaid() layers {
	l := layers{noLinks: p.noLinks}
	if p.Type != "overlay" {
		return l
	}
	for _, word := range p.data {
		if dir, ok := strings.CutPrefix(word, lowerOption); ok {
			l.lowers = append(l.lowers, dir)
		} else if dir, ok := strings.CutPrefix(word, "upperdir="); ok {
			l.upper, l.mapped = dir, true
		} else if dir, ok := strings.CutPrefix(word, "workdir="); ok {
			l.work = dir
		} else {
			return layers{}
		}
	}
	return l
}

// prepareImage overlays the layers of an image that is mounted as a volume. Where
// they cannot be id-mapped, files belong to nobody inside.
func (b *builder) prepareImage(l layers, p *mount) (*tree, error) {
	t, err := b.overlay(l)
	if errors.Is(err, ErrNoIDMap) && !l.mapped {
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
	if m.overlaid().upper == "" {
		m.top.add(unix.MOUNT_ATTR_RDONLY, 0)
	}
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
