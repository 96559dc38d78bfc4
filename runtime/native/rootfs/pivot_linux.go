package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// isolate stops mount events between the host and the copy of its tree.
func (b *builder) isolate() error {
	attr := unix.MountAttr{Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("cannot make the mount namespace private: %w", err)
	}
	return nil
}

// attachRoot covers the copied host tree with the container's root. Absolute
// paths of this thread still lead below the cover until pivot. Where hooks want to
// see it, it covers the directory that it was made from instead.
func (b *builder) attachRoot() error {
	at := "/"
	if b.setup.Staged != nil && b.setup.Path != "" && !b.setup.NoPivot {
		at = b.setup.Path
	}
	return b.attachRootAt(at)
}

func (b *builder) attachRootAt(at string) error {
	if b.rootTree.legacy != nil {
		if err := b.mountLegacy(&b.rootTree); err != nil {
			if b.rootTree, err = b.copyInstead(err); err != nil {
				return err
			}
		}
	}
	b.root = b.rootTree.fd
	if err := unix.MoveMount(b.root, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("cannot attach the root file system: %w", err)
	}
	for _, t := range b.legacyTrees() {
		if err := b.mountLegacy(t); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) attachOverlays() error {
	for _, t := range b.overlays {
		if err := b.place(t.fd, t.target, false); err != nil {
			return err
		}
	}
	return nil
}

// park puts the mounts of the first process, of which attachSpecial took copies, into
// the host's tree, which is about to be dropped. The kernel waits for a grace period of
// RCU wherever mounts are dropped, 0.1 ms: now once for all, not at the close of each.
// Those that stay detached are closed as well. One that is attached itself, as it could
// not be copied, must stay where it is.
func (b *builder) park() {
	for _, file := range b.target.Special {
		if b.holds(int(file.Fd())) {
			continue
		}
		_ = unix.MoveMount(int(file.Fd()), "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
}

// pivot makes the container's root the root of the namespace, and of the
// process that waits in it, and drops the host's tree.
func (b *builder) pivot() error {
	if b.setup.NoPivot {
		return b.chroot()
	}
	old, err := b.keep(openat(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0))
	if err != nil {
		return fmt.Errorf("cannot open the old root: %w", err)
	}
	b.park()
	if err := unix.Fchdir(b.root); err != nil {
		return fmt.Errorf("cannot enter the root file system: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("%w (a host that runs from its initramfs cannot pivot)", err)
		}
		return fmt.Errorf("cannot pivot into the root file system: %w", err)
	}
	if err := unix.Fchdir(old); err != nil {
		return fmt.Errorf("cannot enter the old root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot detach the old root: %w", err)
	}
	if err := unix.Fchdir(b.root); err != nil {
		return fmt.Errorf("cannot enter the root file system: %w", err)
	}
	return nil
}

// chroot confines the thread to the root that covers the host's.
func (b *builder) chroot() error {
	err := unix.Fchdir(b.root)
	if err == nil {
		err = unix.Chroot(".")
	}
	if err != nil {
		return fmt.Errorf("cannot change to the root file system: %w", err)
	}
	return nil
}

// seal gives the root mount its final propagation, and it and the overlays
// inside their read-only flag: until now mount points were made.
func (b *builder) seal() error {
	if word := b.setup.Propagation; word != "" {
		p, ok := propagationOf(word)
		if !ok {
			return fmt.Errorf("unknown root propagation %q", word)
		}
		if err := propagate(b.root, []propagation{p}, b.setup.UserNS != nil); err != nil {
			return fmt.Errorf("cannot share the root file system: %w", err)
		}
	}
	for _, t := range append(b.overlays, b.rootTree) {
		if !b.setup.Readonly && !t.readonly {
			continue
		}
		if err := setAttr(t.fd, false, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
			return fmt.Errorf("cannot make %q read-only: %w", orElse(t.target, "/"), err)
		}
	}
	return nil
}

// scratchDir is a new empty directory of the old tree, gone after pivot: where
// kernels before 6.15 need a mount to be attached before it can be used. It
// lies on a tmpfs over the copied /sys.
func (b *builder) scratchDir() (int, error) {
	if b.scratch < 0 {
		fs := newFilesystem("tmpfs")
		fs.set("mode", "0700")
		fd, err := b.keep(fs.mount(0))
		if err != nil {
			return -1, err
		}
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, "/sys", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return -1, fmt.Errorf("cannot attach a scratch directory: %w", err)
		}
		b.scratch = fd
	}
	b.nodes++
	name := fmt.Sprint(b.nodes)
	if err := unix.Mkdirat(b.scratch, name, 0o700); err != nil {
		return -1, fmt.Errorf("cannot make a scratch directory: %w", err)
	}
	return b.keep(openat(b.scratch, name, unix.O_PATH|unix.O_DIRECTORY, 0))
}

// attachScratch attaches a detached mount where nobody sees it.
func (b *builder) attachScratch(mount int) error {
	dir, err := b.scratchDir()
	if err != nil {
		return err
	}
	return attachAt(mount, dir)
}
