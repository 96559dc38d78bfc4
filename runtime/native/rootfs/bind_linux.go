package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// prepareBind makes a detached copy of a bind's source with everything that
// was asked of it.
func (b *builder) prepareBind(p *mount) (int, error) {
	if len(p.data) > 0 {
		return -1, fmt.Errorf("unknown option of a bind: %s", strings.Join(p.data, ","))
	}
	fd, err := b.keep(openSource(p))
	if err != nil {
		return -1, fmt.Errorf("cannot open %q: %w", p.Source, err)
	}
	if err := b.mapBind(p, fd); err != nil {
		return -1, err
	}
	if len(p.propagation) == 0 {
		p.propagation = []propagation{{unix.MS_PRIVATE, true}}
	}
	return fd, p.apply(fd, b.setup.UserNS != nil)
}

// openSource clones the source, or with subpath what lies in it: links inside
// a volume are its users' and may not lead out of it. A source in the root of
// another container is cloned there.
func openSource(p *mount) (int, error) {
	if pid, inside, ok := peerSource(p.Source); ok && p.subpath == "" {
		return cloneInside(pid, inside, p.recursive)
	}
	if p.noLinks && p.subpath == "" {
		source, err := openHow(unix.AT_FDCWD, p.Source, unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
		if err != nil {
			return -1, err
		}
		defer unix.Close(source)
		return cloneTree(source, "", p.recursive)
	}
	if p.subpath == "" {
		return cloneTree(unix.AT_FDCWD, p.Source, p.recursive)
	}
	top, err := openat(unix.AT_FDCWD, p.Source, unix.O_PATH, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(top)
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	sub, err := openHow(top, p.subpath, how)
	if err != nil {
		return -1, fmt.Errorf("cannot open its subpath %q: %w", p.subpath, err)
	}
	defer unix.Close(sub)
	return cloneTree(sub, "", p.recursive)
}

// mapBind id-maps a bind: by its own mappings, or by the container's when only
// the option asks for it.
func (b *builder) mapBind(p *mount, fd int) error {
	if len(p.UIDMappings) == 0 && len(p.GIDMappings) == 0 {
		if !p.idmap {
			return nil
		}
		if b.setup.UserNS == nil {
			return errors.New("option idmap needs mappings or a user namespace")
		}
		return idMapMount(fd, int(b.setup.UserNS.Fd()), p.ridmap, p.Source)
	}
	names := b.setup.Namespaces
	if names == nil {
		names = new(UserNamespaces)
		defer names.Close()
	}
	ns, err := names.Get(p.UIDMappings, p.GIDMappings)
	if err != nil {
		return err
	}
	defer ns.Close()
	return idMapMount(fd, int(ns.Fd()), p.ridmap, p.Source)
}
