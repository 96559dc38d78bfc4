package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// attachFiles puts all given files on one tmpfs, which has no path of its own,
// and binds each at its target.
func (b *builder) attachFiles() error {
	return b.eachFile(func(i, fd int) error { return b.place(fd, b.setup.Files[i].Target, false) })
}

// eachFile writes the files and calls attach with a detached mount of each.
func (b *builder) eachFile(attach func(i, fd int) error) error {
	if len(b.setup.Files) == 0 {
		return nil
	}
	top, err := b.filesFilesystem()
	if err != nil {
		return err
	}
	for i, f := range b.setup.Files {
		if err := b.writeFile(top, strconv.Itoa(i), f); err != nil {
			return fmt.Errorf("cannot write file %q: %w", f.Target, err)
		}
	}
	if b.setup.oldKernel || !canCloneDetached(top) {
		if err := b.attachScratch(top); err != nil {
			return fmt.Errorf("cannot attach the files: %w", err)
		}
	}
	for i, f := range b.setup.Files {
		fd, err := b.cloneFile(top, strconv.Itoa(i), f)
		if err == nil {
			err = attach(i, fd)
		}
		if err != nil {
			return fmt.Errorf("cannot bind file %q: %w", f.Target, err)
		}
	}
	return nil
}

// filesFilesystem makes a tmpfs that never reaches swap, where the kernel can
// promise that (6.4), with room for the content and a little to write.
func (b *builder) filesFilesystem() (int, error) {
	const page, room = 64 << 10, 256 << 10
	size := room
	for _, f := range b.setup.Files {
		size += (len(f.Content)/page + 1) * page
		if f.Writable {
			size += room
		}
	}
	mount := func(noswap bool) (int, error) {
		fs := newFilesystem("tmpfs")
		fs.set("source", "files")
		fs.set("mode", "0700")
		fs.set("size", strconv.Itoa(size))
		if noswap {
			fs.flag("noswap")
		}
		return b.keep(fs.mount(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV))
	}
	fd, err := mount(true)
	if errors.Is(err, unix.EINVAL) {
		return mount(false)
	}
	return fd, err
}

func (b *builder) writeFile(top int, name string, f runtime.File) error {
	if !path.IsAbs(f.Target) {
		return errors.New("the target is not an absolute path")
	}
	uid, err := b.hostUID(f.UID)
	if err != nil {
		return err
	}
	gid, err := b.hostGID(f.GID)
	if err != nil {
		return err
	}
	fd, err := openat(top, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), f.Target)
	if f.Append != nil {
		b.result.Unfinished = append(b.result.Unfinished, Unfinished{file, f.Append})
	} else {
		defer file.Close()
	}
	if _, err := file.Write(f.Content); err != nil {
		return err
	}
	if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
		return err
	}
	return unix.Fchmod(fd, uint32(f.Mode.Perm()))
}

func (b *builder) cloneFile(top int, name string, f runtime.File) (int, error) {
	fd, err := b.keep(cloneTree(top, name, false))
	if err != nil || f.Writable {
		return fd, err
	}
	return fd, setAttr(fd, false, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// canCloneDetached: since 6.15 a bind may be made of a mount that is attached
// nowhere.
func canCloneDetached(mount int) bool {
	fd, err := cloneTree(mount, "0", false)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}
