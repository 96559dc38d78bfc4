package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mount is one OCI mount on its way.
type mount struct {
	specs.Mount
	options
	fd       int // detached, or -1 while it must be made inside the namespace
	attached bool
	at       int          // of what shows the kernel's state: its root, once attached
	binds    []cgroupBind // of a cgroup v1 tree
	layers   *tree        // of an overlay of given trees
}

// prepareMount opens what belongs to the host.
func (b *builder) prepareMount(m specs.Mount) (mount, error) {
	p := mount{Mount: m, options: parseOptions(m.Options), fd: -1}
	if !path.IsAbs(m.Destination) {
		return p, errors.New("the destination is not an absolute path")
	}
	var err error
	switch {
	case p.bind || m.Type == "bind":
		p.fd, err = b.prepareBind(&p)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		p.binds, err = b.prepareCgroups()
	case m.Type == "tmpfs", m.Type == "devpts", isSpecial(m.Type):
	case len(p.overlaid().lowers) > 0:
		p.layers, err = b.prepareImage(p.overlaid(), &p)
	default:
		p.fd, err = b.prepareFilesystem(&p)
	}
	return p, err
}

// isSpecial says whether a file system shows the namespaces of who mounts it.
func isSpecial(kind string) bool { return kind == "proc" || kind == "sysfs" || kind == "mqueue" }

// prepareFilesystem mounts a file system of any other type: a disk, a network
// volume.
func (b *builder) prepareFilesystem(p *mount) (int, error) {
	fs := newFilesystem(p.Type)
	if p.Source != "" {
		fs.set("source", p.Source)
	}
	if p.top.set&unix.MOUNT_ATTR_RDONLY != 0 { // rro is of this mount alone
		fs.flag("ro")
	}
	setData(fs, p.data)
	fd, err := b.keep(fs.mount(p.flags()))
	if err != nil {
		return -1, err
	}
	err = b.mapBind(p, fd)
	if errors.Is(err, ErrNoIDMap) {
		b.warn("files of %q belong to nobody inside the container: %v", p.Destination, err)
		err = nil
	}
	if err != nil || p.subpath == "" {
		return fd, err
	}
	return b.beneath(fd, p.subpath)
}

// beneath copies the part of a detached mount at a path, which no link leads out of.
func (b *builder) beneath(fd int, path string) (int, error) {
	sub, err := openHow(fd, path, unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, fmt.Errorf("cannot open its subpath %q: %w", path, err)
	}
	defer unix.Close(sub)
	part, err := b.keep(cloneTree(sub, "", false))
	if err != nil {
		return -1, fmt.Errorf("cannot mount its subpath %q (before Linux 6.15 only whole file systems can be): %w", path, err)
	}
	return part, nil
}

func setData(fs *fsContext, words []string) {
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			fs.set(key, value)
		} else {
			fs.flag(word)
		}
	}
}

func (b *builder) attachMounts() error {
	for i := range b.mounts {
		if err := b.attachMount(&b.mounts[i]); err != nil {
			return fmt.Errorf("cannot mount %s at %q: %w", b.mounts[i].Type, b.mounts[i].Destination, err)
		}
	}
	return nil
}

func (b *builder) attachMount(m *mount) error {
	switch {
	case m.bind || m.Type == "bind":
		return b.place(m.fd, m.Destination, false)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		return b.attachCgroup(m)
	case isSpecial(m.Type):
		return b.attachSpecial(m, m.Type)
	case m.Type == "tmpfs":
		return b.attachTmpfs(m)
	case m.Type == "devpts":
		return b.attachDevpts(m)
	case m.layers != nil:
		return b.attachImage(m)
	}
	if err := propagate(m.fd, m.propagation, b.setup.UserNS != nil); err != nil {
		return err
	}
	return b.place(m.fd, m.Destination, false)
}

// attachSpecial places a copy of a mount that the first process made: it may be
// wanted in several places, and the kernel lists mounts in the order in which they
// were made, which should be the specification's. proc and sysfs go only to real
// directories: with a link on the way, what is masked later would not be what
// the program sees (CVE-2019-19921, CVE-2023-27561).
func (b *builder) attachSpecial(m *mount, kind string) error {
	file := b.target.Special[kind]
	if file == nil {
		return fmt.Errorf("the container's first process made no file system of type %s", kind)
	}
	fd := int(file.Fd())
	if err := checkKind(fd, kind); err != nil {
		return err
	}
	copied, err := -1, error(unix.EINVAL)
	if !b.setup.oldKernel {
		copied, err = b.keep(cloneTree(fd, "", false))
	}
	switch {
	case err == nil:
		fd = copied
	case !errors.Is(err, unix.EINVAL) || b.used(kind, m): // before 6.15 only what is attached can be copied
		return fmt.Errorf("cannot copy the mount: %w", err)
	}
	if err := m.apply(fd, b.setup.UserNS != nil); err != nil {
		return err
	}
	m.attached, m.at = true, fd
	return b.place(fd, m.Destination, kind == "proc" || kind == "sysfs")
}

// used says whether a mount of that kind is attached already.
func (b *builder) used(kind string, but *mount) bool {
	for i := range b.mounts {
		if m := &b.mounts[i]; m != but && m.attached && strings.TrimSuffix(m.Type, "2") == kind {
			return true
		}
	}
	return false
}

// holds says whether this very mount is attached in the container's tree.
func (b *builder) holds(fd int) bool {
	return slices.ContainsFunc(b.mounts, func(m mount) bool { return m.attached && m.at == fd })
}

// checkKind trusts the kernel, not the process, about what a descriptor is.
func checkKind(fd int, kind string) error {
	magic := map[string]int64{
		"proc": unix.PROC_SUPER_MAGIC, "sysfs": unix.SYSFS_MAGIC,
		"mqueue": 0x19800202, "cgroup": unix.CGROUP2_SUPER_MAGIC,
	}[kind]
	is, err := filesystemType(fd)
	if err != nil {
		return fmt.Errorf("cannot stat the file system: %w", err)
	}
	if is != magic {
		return fmt.Errorf("the file system is of type %#x instead of %s", is, kind)
	}
	return nil
}

// attachTmpfs mounts a tmpfs over what is at its destination.
func (b *builder) attachTmpfs(m *mount) error {
	covered, fresh, err := b.mountPoint(m.Destination)
	if err != nil {
		return err
	}
	defer unix.Close(covered)
	fd, err := b.makeTmpfs(m, covered, fresh)
	if err != nil {
		return err
	}
	if err := attachAt(fd, covered); err != nil {
		return fmt.Errorf("cannot attach: %w", err)
	}
	if path.Clean(m.Destination) == "/dev" {
		b.dev = fd
		if err := b.populateDev(fd); err != nil {
			return err
		}
	}
	return b.settleTmpfs(m, fd)
}

// makeTmpfs makes a tmpfs. Sizes are the kernel's, ids the container's. A directory
// that it covers, unless fresh, lends it its mode, and with tmpcopyup its content.
func (b *builder) makeTmpfs(m *mount, covered int, fresh bool) (int, error) {
	data, err := b.mapOwner(m.data)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if !fresh {
		if err := unix.Fstat(covered, &st); err != nil {
			return -1, fmt.Errorf("cannot stat mount point: %w", err)
		}
	}
	fs := newFilesystem("tmpfs")
	fs.set("source", orElse(m.Source, "tmpfs"))
	if !fresh && !hasKey(data, "mode") {
		fs.set("mode", fmt.Sprintf("%o", st.Mode&0o7777))
	}
	setData(fs, data)
	fd, err := b.keep(fs.mount(m.flags() &^ unix.MOUNT_ATTR_RDONLY))
	if err == nil && m.copyUp && !fresh {
		err = copyUp(covered, fd, st)
	}
	return fd, err
}

// settleTmpfs makes what was filled read-only, if it is to be.
func (b *builder) settleTmpfs(m *mount, fd int) error {
	if m.flags()&unix.MOUNT_ATTR_RDONLY == 0 && len(m.propagation) == 0 {
		return nil
	}
	return m.apply(fd, b.setup.UserNS != nil)
}

// mountPoint opens a directory to cover and says whether it had to be made.
func (b *builder) mountPoint(dest string) (fd int, fresh bool, err error) {
	fd, err = inRoot(b.root, dest, 0)
	if fresh = errors.Is(err, unix.ENOENT); fresh {
		fd, err = ensure(b.root, dest, true, false)
	}
	if err != nil {
		return -1, fresh, fmt.Errorf("cannot open mount point: %w", err)
	}
	return fd, fresh, nil
}

// copyUp fills a tmpfs with what it is about to cover.
func copyUp(from, to int, st unix.Stat_t) error {
	src, err := openat(from, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cannot open what tmpcopyup copies: %w", err)
	}
	defer unix.Close(src)
	dst, err := openat(to, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cannot open tmpfs: %w", err)
	}
	defer unix.Close(dst)
	if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return fmt.Errorf("cannot change the owner of tmpfs: %w", err)
	}
	return copyTree(src, dst, sameOwner)
}

// attachDevpts mounts the container's own pseudo terminals.
func (b *builder) attachDevpts(m *mount) error {
	data, err := b.mapOwner(m.data)
	if err != nil {
		return err
	}
	fs := newFilesystem("devpts")
	fs.set("source", orElse(m.Source, "devpts"))
	setData(fs, data)
	fd, err := b.keep(fs.mount(m.flags()))
	if err != nil {
		return err
	}
	// Its ptmx belongs to the host's root whoever mounts.
	if err := unix.Fchownat(fd, "ptmx", int(b.rootUID), int(b.rootGID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("cannot change the owner of ptmx: %w", err)
	}
	if err := propagate(fd, m.propagation, b.setup.UserNS != nil); err != nil {
		return err
	}
	if path.Clean(m.Destination) == "/dev/pts" {
		b.pts = fd
	}
	return b.place(fd, m.Destination, false)
}

// mapOwner turns the ids of uid= and gid= into the host's. A gid that the
// container does not have (devpts asks for 5) is left out.
func (b *builder) mapOwner(data []string) ([]string, error) {
	var out []string
	for _, word := range data {
		key, value, _ := strings.Cut(word, "=")
		var id uint32
		switch key {
		case "uid", "gid":
			if _, err := fmt.Sscan(value, &id); err != nil {
				return nil, fmt.Errorf("cannot read option %q: %w", word, err)
			}
		default:
			out = append(out, word)
			continue
		}
		ids := b.uids
		if key == "gid" {
			ids = b.gids
		}
		host, ok := ids.host(id)
		if ok {
			out = append(out, fmt.Sprintf("%s=%d", key, host))
		} else {
			b.warn("option %s is left out: the container's user namespace has no such id", word)
		}
	}
	return out, nil
}

func hasKey(words []string, key string) bool {
	for _, word := range words {
		if k, _, _ := strings.Cut(word, "="); k == key {
			return true
		}
	}
	return false
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
