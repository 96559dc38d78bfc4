package rootfs

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// upperFDs are the opened directories of an overlay. With mapped ones top is the
// id-mapped mount that both lie in, else 0.
type upperFDs struct{ upper, work, top int }

// mapUpper opens upper and work directory through an id-mapped mount of the
// directory that both lie in (overlayfs wants them on one mount).
func (b *builder) mapUpper(l *layers) (upper, work int, err error) {
	dir := filepath.Dir(l.upper)
	if filepath.Dir(l.work) != dir {
		return -1, -1, fmt.Errorf("the directories %q and %q do not lie in one", l.upper, l.work)
	}
	top, err := b.keep(cloneTree(unix.AT_FDCWD, dir, false))
	if err != nil {
		return -1, -1, fmt.Errorf("cannot open %q: %w", dir, err)
	}
	if err := setAttr(top, false, unix.MountAttr{Propagation: unix.MS_PRIVATE}); err != nil {
		return -1, -1, fmt.Errorf("cannot make %q private: %w", dir, err)
	}
	if err := idMapMount(top, int(b.setup.UserNS.Fd()), false, dir); err != nil {
		return -1, -1, err
	}
	l.upperFDs.top = top
	for name, fd := range map[string]*int{l.upper: &upper, l.work: &work} {
		*fd, err = b.keep(openat(top, filepath.Base(name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0))
		if err != nil {
			return -1, -1, fmt.Errorf("cannot open directory %q: %w", name, err)
		}
	}
	return upper, work, nil
}

// mountAs mounts an overlay. overlayfs works in the upper directory with the
// credentials of who mounted it, and an id-mapped mount lets nobody create whose id
// it does not map: such an overlay is mounted as the container's root, by a thread
// that keeps the host's capabilities. As the host's root it would silently be
// read-only.
func (b *builder) mountAs(l *layers, mount func() (int, error)) (fd int, err error) {
	if l.upperFDs.top == 0 {
		return mount()
	}
	err = throwAway(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("cannot unshare the thread's directories: %w", err)
		}
		if err := createAs(b.rootUID, b.rootGID); err != nil {
			return err
		}
		var err error
		fd, err = mount()
		return err
	})
	return fd, err
}
