package rootfs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// View is what a confined process sees of the host's files, read-only; everything
// else is missing.
type View struct {
	// Dirs are shown with all below them, under the paths that name them and under
	// their real ones.
	Dirs []string
	// Files are shown under the path that each is the key of. The value is where it
	// lies; one that a link leads to by now is left out.
	Files map[string]string
	// Work becomes the working directory, empty unless it is below one of Dirs.
	Work string
}

// Confine leaves a process that was made with a mount namespace of its own
// (CLONE_NEWNS) with nothing but a view of the host. A link in it can lead to
// what the view shows, and nowhere else.
func Confine(v View) error {
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
		return fmt.Errorf("cannot make the mount namespace private: %w", err)
	}
	fs := newFilesystem("tmpfs")
	fs.set("mode", "0755")
	root, err := fs.mount(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := unix.MoveMount(root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot attach the view: %w", err)
	}
	c := confinement{root}
	if err := c.show(v); err != nil {
		return err
	}
	if err := c.enter(); err != nil {
		return err
	}
	if v.Work != "" {
		return os.Chdir(v.Work)
	}
	return nil
}

// confinement is a view under construction: it covers the root, below which absolute
// paths of this process still lead.
type confinement struct{ root int }

func (c confinement) show(v View) error {
	for _, dir := range v.Dirs {
		fd, err := openat(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("cannot open %s: %w", dir, err)
		}
		real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err == nil && real == "/" {
			err = errors.New("it is the whole machine")
		}
		if err == nil {
			err = c.place(fd, real, true)
		}
		if err == nil && dir != real {
			err = c.place(fd, dir, true)
		}
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("cannot show %s: %w", dir, err)
		}
	}
	for path, real := range v.Files {
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
		fd, err := openHow(unix.AT_FDCWD, real, how)
		if err != nil {
			continue // gone, or another file by now: missing in the view too
		}
		if kind, err := fileType(fd); err == nil && kind != unix.S_IFDIR {
			err = c.place(fd, path, false)
			if err != nil {
				unix.Close(fd)
				return fmt.Errorf("cannot show %s: %w", path, err)
			}
		}
		unix.Close(fd)
	}
	if v.Work != "" {
		fd, err := ensure(c.root, v.Work, true, false)
		if err != nil && !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("cannot make the working directory: %w", err)
		}
		unix.Close(fd)
	}
	return nil
}

// place shows what fd refers to at a path of the view; what the view has there
// already stays.
func (c confinement) place(fd int, path string, dir bool) error {
	target, err := ensure(c.root, path, dir, true)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.ELOOP) {
		return nil // below a directory that is shown: as it is there
	}
	if err != nil {
		return err
	}
	defer unix.Close(target)
	mount, err := cloneTree(fd, "", dir)
	if err != nil {
		return err
	}
	defer unix.Close(mount)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}
	if dir {
		attr.Attr_set |= unix.MOUNT_ATTR_NODEV // a file was named, such as /dev/null
	}
	if err := setAttr(mount, true, attr); err != nil {
		return err
	}
	return attachAt(mount, target)
}

// enter makes the view the process's root, on all of its threads.
func (c confinement) enter() error {
	old, err := openat(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cannot open the old root: %w", err)
	}
	defer unix.Close(old)
	for _, step := range []func() error{
		func() error { return unix.Fchdir(c.root) },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Fchdir(old) },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Fchdir(c.root) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("cannot enter the view: %w", err)
		}
	}
	return nil
}
