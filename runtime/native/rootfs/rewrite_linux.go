package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// Rewrite gives files that Setup.Files put into a container new contents, and
// returns the targets of those that had others. A reader sees the old content or the
// new one, whole: a fresh file, of the same owner and mode and in memory likewise, is
// mounted where the old one was. Who has the old one open keeps it.
//
// namespace is the container's mount namespace.
func Rewrite(namespace *os.File, files []runtime.File) (changed []string, err error) {
	var errs []error
	for _, f := range files {
		did, err := rewrite(int(namespace.Fd()), f)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot rewrite file %q: %w", f.Target, err))
		}
		if did {
			changed = append(changed, f.Target)
		}
	}
	return changed, errors.Join(errs...)
}

// rewrite looks first, since making a file costs a mount namespace.
func rewrite(namespace int, f runtime.File) (bool, error) {
	var stat unix.Stat_t
	same := false
	err := throwAway(func() error {
		w, err := enterFile(namespace, f.Target)
		if err != nil {
			return err
		}
		defer w.close()
		stat = w.stat
		same, err = w.holds(f.Content)
		return err
	})
	if err != nil || same {
		return false, err
	}
	fresh := -1
	err = throwAway(func() (err error) {
		fresh, err = freshFile(f.Content, stat)
		return err
	})
	if err != nil {
		return false, err
	}
	defer unix.Close(fresh)
	err = throwAway(func() error {
		w, err := enterFile(namespace, f.Target)
		if err != nil {
			return err
		}
		defer w.close()
		return w.exchange(fresh)
	})
	return err == nil, err
}

// freshFile makes a tmpfs with one file and returns a detached mount of that. The
// calling thread leaves its mount namespace.
func freshFile(content []byte, like unix.Stat_t) (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return -1, fmt.Errorf("cannot unshare the mount namespace: %w", err)
	}
	if err := (&builder{}).isolate(); err != nil {
		return -1, err
	}
	b := &builder{setup: Setup{Files: []runtime.File{{Content: content}}}}
	defer b.close()
	top, err := b.filesFilesystem()
	if err != nil {
		return -1, err
	}
	if err := unix.MoveMount(top, "", unix.AT_FDCWD, "/sys", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return -1, fmt.Errorf("cannot attach a scratch directory: %w", err) // seen by nobody, gone with the thread
	}
	if err := b.writeFile(top, "0", runtime.File{Target: "/", Content: content, Mode: os.FileMode(like.Mode & 0o777)}); err != nil {
		return -1, err
	}
	if err := unix.Fchownat(top, "0", int(like.Uid), int(like.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, err
	}
	if err := unix.Fchmodat(top, "0", like.Mode&0o777, 0); err != nil { // a change of owner may take bits
		return -1, err
	}
	fd, err := cloneTree(top, "0", false)
	if err != nil {
		return -1, err
	}
	return fd, setAttr(fd, false, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// placed is a file of ours in a container, seen by a thread that is there.
type placed struct {
	fd   int // O_PATH
	self int // the host's directory of this thread's descriptors
	stat unix.Stat_t
}

// tmpfsMagic is TMPFS_MAGIC of statfs(2).
const tmpfsMagic = 0x01021994

// enterFile moves the calling thread into the container and opens the file there. It
// must be the mount of a file in memory that it was made as: the container may have
// put something else in its place.
func enterFile(namespace int, target string) (*placed, error) {
	self, err := openat(unix.AT_FDCWD, "/proc/thread-self/fd", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	w := &placed{fd: -1, self: self}
	if err := join(namespace); err != nil {
		w.close()
		return nil, err
	}
	if err := w.open(target); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *placed) open(target string) error {
	root, err := openat(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if w.fd, err = inRoot(root, target, 0); err != nil {
		return err
	}
	var about unix.Statx_t
	if err := unix.Statx(w.fd, "", unix.AT_EMPTY_PATH, 0, &about); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(w.fd, &fs); err != nil {
		return err
	}
	if err := unix.Fstat(w.fd, &w.stat); err != nil {
		return err
	}
	if about.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 || fs.Type != tmpfsMagic || w.stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("something else is in its place")
	}
	return nil
}

func (w *placed) close() {
	unix.Close(w.self)
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
}

// magic is a path that leads to the file itself, whatever the container renames: the
// thread goes to the directory it is relative to.
func (w *placed) magic() (string, error) {
	return strconv.Itoa(w.fd), unix.Fchdir(w.self)
}

func (w *placed) holds(content []byte) (bool, error) {
	if w.stat.Size != int64(len(content)) {
		return false, nil
	}
	name, err := w.magic()
	if err != nil {
		return false, err
	}
	fd, err := openat(unix.AT_FDCWD, name, unix.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	old, err := io.ReadAll(io.LimitReader(file, int64(len(content))+1))
	return bytes.Equal(old, content), err
}

// exchange mounts fresh beneath the old file, then takes that away. Where the kernel
// cannot (before 6.5) it comes on top, and the old one stays below for the
// container's life.
func (w *placed) exchange(fresh int) error {
	const beneath = 0x200 // MOVE_MOUNT_BENEATH
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH
	err := unix.MoveMount(fresh, "", w.fd, "", flags|beneath)
	if errors.Is(err, unix.EINVAL) {
		return attachAt(fresh, w.fd)
	}
	if err != nil {
		return err
	}
	name, err := w.magic()
	if err != nil {
		return err
	}
	return unix.Unmount(name, unix.MNT_DETACH)
}
