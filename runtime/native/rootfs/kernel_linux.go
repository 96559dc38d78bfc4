package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// fsContext is a file system that is being configured, see fsopen(2).
type fsContext struct {
	kind string
	fd   int
	err  error // the first failure; later calls do nothing
}

func newFilesystem(kind string) *fsContext {
	fd, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return &fsContext{kind: kind, fd: -1, err: fmt.Errorf("cannot open file system %q: %w", kind, err)}
	}
	return &fsContext{kind: kind, fd: fd}
}

func (c *fsContext) do(what string, f func() error) {
	if c.err != nil {
		return
	}
	if err := retry(f); err != nil {
		c.err = fmt.Errorf("cannot %s of %s: %w%s", what, c.kind, err, c.messages())
	}
}

func (c *fsContext) set(key, value string) {
	c.do("set option "+key+"="+value, func() error { return unix.FsconfigSetString(c.fd, key, value) })
}

func (c *fsContext) flag(key string) {
	c.do("set option "+key, func() error { return unix.FsconfigSetFlag(c.fd, key) })
}

func (c *fsContext) setFD(key string, fd int) {
	c.do("set option "+key, func() error { return unix.FsconfigSetFd(c.fd, key, fd) })
}

// mount returns the new file system as a detached mount and ends the context.
func (c *fsContext) mount(attrs uint64) (int, error) {
	c.do("create the superblock", func() error { return unix.FsconfigCreate(c.fd) })
	mnt := -1
	c.do("make a mount", func() (err error) {
		mnt, err = unix.Fsmount(c.fd, unix.FSMOUNT_CLOEXEC, int(attrs))
		return err
	})
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
	return mnt, c.err
}

// messages is what the kernel says about the failure, if it says anything.
func (c *fsContext) messages() string {
	var all []string
	buf := make([]byte, 512)
	for {
		n, err := unix.Read(c.fd, buf)
		if err != nil || n <= 0 {
			break
		}
		all = append(all, strings.TrimSpace(strings.TrimPrefix(string(buf[:n]), "e ")))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

// cloneTree makes a detached copy of the mount at path below fd, or of fd
// itself when path is empty.
func cloneTree(fd int, path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_NO_AUTOMOUNT)
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.OpenTree(fd, path, flags)
}

// cloneDirectory is cloneTree of a path, on the way to which noLinks refuses links.
func cloneDirectory(path string, noLinks bool) (int, error) {
	if !noLinks {
		return cloneTree(unix.AT_FDCWD, path, false)
	}
	fd, err := openHow(unix.AT_FDCWD, path, unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	return cloneTree(fd, "", false)
}

// attachAt puts the detached mount on top of the object that target refers to.
func attachAt(mount, target int) error {
	return unix.MoveMount(mount, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// setAttr changes the mount that fd is the root of.
func setAttr(fd int, recursive bool, attr unix.MountAttr) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.MountSetattr(fd, "", flags, &attr)
}

// retry repeats what a signal interrupted.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

func fileType(fd int) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return st.Mode & unix.S_IFMT, nil
}

func filesystemType(fd int) (int64, error) {
	var st unix.Statfs_t
	err := retry(func() error { return unix.Fstatfs(fd, &st) })
	return int64(st.Type), err
}
