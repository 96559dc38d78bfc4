package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupBind shows the container its own cgroup of one v1 hierarchy.
type cgroupBind struct {
	name  string   // directory below the cgroup mount
	links []string // further names of a joined hierarchy
	fd    int
}

// prepareCgroups opens the container's cgroups on a v1 or hybrid host.
func (b *builder) prepareCgroups() ([]cgroupBind, error) {
	var binds []cgroupBind
	for _, controllers := range slices.Sorted(maps.Keys(b.setup.Cgroups)) {
		dir := b.setup.Cgroups[controllers]
		fd, err := b.keep(cloneTree(unix.AT_FDCWD, dir, false))
		if err != nil {
			return nil, fmt.Errorf("cannot open cgroup %q: %w", dir, err)
		}
		binds = append(binds, nameCgroup(controllers, fd))
	}
	return binds, nil
}

func nameCgroup(controllers string, fd int) cgroupBind {
	name := strings.TrimPrefix(controllers, "name=")
	if name == "" {
		return cgroupBind{name: "unified", fd: fd}
	}
	if joined := strings.Split(name, ","); len(joined) > 1 {
		return cgroupBind{name: name, links: joined, fd: fd}
	}
	return cgroupBind{name: name, fd: fd}
}

// attachCgroup shows the unified hierarchy where the first process made one,
// or a small tmpfs with a directory for each v1 hierarchy.
func (b *builder) attachCgroup(m *mount) error {
	if len(m.binds) == 0 {
		if b.target.Special["cgroup"] == nil {
			b.warn("nothing is mounted at %q: the container has no cgroup to show", m.Destination)
			return nil
		}
		return b.attachSpecial(m, "cgroup")
	}
	fs := newFilesystem("tmpfs")
	fs.set("source", "cgroup")
	fs.set("mode", "0755")
	flags := m.flags()
	top, err := b.keep(fs.mount(flags &^ unix.MOUNT_ATTR_RDONLY))
	if err != nil {
		return err
	}
	if err := b.place(top, m.Destination, false); err != nil {
		return err
	}
	for _, bind := range m.binds {
		if err := bindCgroup(top, bind, flags); err != nil {
			return fmt.Errorf("cannot bind cgroup %q: %w", bind.name, err)
		}
	}
	return m.apply(top, b.setup.UserNS != nil)
}

func bindCgroup(top int, bind cgroupBind, flags uint64) error {
	if err := unix.Mkdirat(top, bind.name, 0o755); err != nil {
		return err
	}
	for _, link := range bind.links {
		if err := unix.Symlinkat(bind.name, top, link); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	attr := unix.MountAttr{Attr_set: flags &^ unix.MOUNT_ATTR__ATIME, Propagation: unix.MS_PRIVATE}
	if err := setAttr(bind.fd, false, attr); err != nil {
		return err
	}
	return unix.MoveMount(bind.fd, "", top, bind.name, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
