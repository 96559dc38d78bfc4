package transfer

import (
	"errors"
	"fmt"
	"io"
	"path"

	"golang.org/x/sys/unix"

	"stack/runtime/native/rootfs"
)

// remove takes a path away with all below it. One that is not there is done.
func (s *syncer) remove(name string) error {
	if name == "." {
		return nil // the target itself stays
	}
	parent, err := rootfs.OpenBeneath(s.dir, path.Dir(name), unix.O_DIRECTORY)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil // where the way is a link, the path was never synced
	case err != nil:
		return err
	}
	defer unix.Close(parent)
	return removeAll(parent, path.Base(name))
}

// removeAll removes name in dir, following no link and leaving mounts, with what
// leads to them, in place: what is mounted there is not the container's alone.
func removeAll(dir int, name string) error {
	st, err := lstat(dir, name)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unlink(dir, name)
	}
	if err := unmounted(dir, name); err != nil {
		return err
	}
	if err := removeBelow(dir, name); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

func removeBelow(dir int, name string) error {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return err
	}
	f := newFile(fd, name)
	defer f.Close()
	for {
		names, err := f.Readdirnames(256)
		for _, below := range names {
			if err := removeAll(fd, below); err != nil {
				return fmt.Errorf("%s: %w", below, err)
			}
		}
		if errors.Is(err, io.EOF) || err == nil && len(names) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// unlink removes what is no directory.
func unlink(dir int, name string) error {
	if err := unmounted(dir, name); err != nil {
		return err
	}
	if err := unix.Unlinkat(dir, name, 0); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
