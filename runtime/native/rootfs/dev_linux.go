package rootfs

import (
	"errors"
	"fmt"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// standardNodes are in every container, all with mode 0666.
var standardNodes = [...]struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// standardLinks lead to the process's own descriptors and terminals.
var standardLinks = [...]struct{ name, target string }{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
}

// populateDev fills the container's own /dev, which is attached already.
func (b *builder) populateDev(dev int) error {
	for _, n := range standardNodes {
		rdev := unix.Mkdev(n.major, n.minor)
		if _, err := makeNode(dev, n.name, unix.S_IFCHR|0o666, rdev, "/dev/"+n.name); err != nil {
			return err
		}
	}
	for _, l := range standardLinks {
		if err := unix.Symlinkat(l.target, dev, l.name); err != nil {
			return fmt.Errorf("cannot make link /dev/%s: %w", l.name, err)
		}
	}
	return nil
}

// makeNode makes a device node, or where mknod is not allowed binds the host's
// node of the same number: the host's tree is still there for absolute paths.
// A bound node is the host's own and must not be changed.
func makeNode(dir int, name string, mode uint32, rdev uint64, host string) (bound bool, err error) {
	err = unix.Mknodat(dir, name, mode, int(rdev))
	if errors.Is(err, unix.EPERM) && mode&unix.S_IFMT != unix.S_IFIFO {
		bound, err = true, bindNode(dir, name, mode, rdev, host)
	}
	if err != nil {
		return bound, fmt.Errorf("cannot make device %q: %w", name, err)
	}
	return bound, nil
}

func bindNode(dir int, name string, mode uint32, rdev uint64, host string) error {
	src, err := cloneTree(unix.AT_FDCWD, host, false)
	if err != nil {
		return err
	}
	defer unix.Close(src)
	if err := checkNode(src, mode, rdev); err != nil {
		return err
	}
	if err := unix.Mknodat(dir, name, unix.S_IFREG|0o600, 0); err != nil {
		return err
	}
	return unix.MoveMount(src, "", dir, name, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// checkNode verifies by descriptor that a node is the device it should be.
func checkNode(fd int, mode uint32, rdev uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != mode&unix.S_IFMT || st.Rdev != rdev {
		return fmt.Errorf("is not device %d:%d", unix.Major(rdev), unix.Minor(rdev))
	}
	return nil
}

// attachDevices makes the further devices. With a bind at /dev they are the
// bound directory's business, as with other runtimes.
func (b *builder) attachDevices() error {
	for _, d := range b.setup.Devices {
		p := path.Clean("/" + d.Path)
		if b.dev < 0 && below(p, "/dev") {
			continue
		}
		if p == "/dev/ptmx" { // the host's, as Docker lists it; the container's leads to its own devpts
			continue
		}
		if err := b.makeDevice(p, d); err != nil {
			return fmt.Errorf("cannot make device %q: %w", d.Path, err)
		}
	}
	return nil
}

func (b *builder) makeDevice(p string, d specs.LinuxDevice) error {
	kinds := map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}
	kind, ok := kinds[d.Type]
	if !ok {
		return fmt.Errorf("unknown device type %q", d.Type)
	}
	var rdev uint64
	if kind != unix.S_IFIFO {
		rdev = unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	}
	dir, err := ensure(b.root, path.Dir(p), true, false)
	if err != nil {
		return fmt.Errorf("cannot open its directory: %w", err)
	}
	defer unix.Close(dir)
	name := path.Base(p)
	bound, err := makeNode(dir, name, kind|0o600, rdev, d.Path)
	if bound && err == nil {
		return nil
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	fd, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := checkNode(fd, kind, rdev); err != nil {
		return err
	}
	return b.ownDevice(fd, d)
}

// ownDevice gives a verified node its owner and mode. /proc is still the
// host's here.
func (b *builder) ownDevice(fd int, d specs.LinuxDevice) error {
	uid, gid, mode := b.rootUID, b.rootGID, uint32(0o666)
	var err error
	if d.UID != nil {
		if uid, err = b.hostUID(*d.UID); err != nil {
			return err
		}
	}
	if d.GID != nil {
		if gid, err = b.hostGID(*d.GID); err != nil {
			return err
		}
	}
	if d.FileMode != nil {
		mode = uint32(d.FileMode.Perm())
	}
	if err := unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot change its owner: %w", err)
	}
	if err := unix.Chmod(procPath(fd), mode); err != nil {
		return fmt.Errorf("cannot change its mode: %w", err)
	}
	return nil
}
