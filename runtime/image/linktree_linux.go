package image

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// LinkTree makes the directory to, which is empty, a second tree of the layer in
// from: directories are made anew, everything else is hard-linked, so both trees can
// be removed without regard to the other. Neither may be written from then on.
// Errors: EXDEV from another file system, EMLINK, wrapped.
func LinkTree(ctx context.Context, from, to string) error {
	in, err := openTree(unix.AT_FDCWD, from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := openTree(unix.AT_FDCWD, to)
	if err != nil {
		return err
	}
	defer out.Close()
	return linkDirectory(ctx, in, out)
}

func openTree(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open directory %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func linkDirectory(ctx context.Context, in, out *os.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := in.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			err = unix.Linkat(int(in.Fd()), e.Name(), int(out.Fd()), e.Name(), 0)
		} else {
			err = linkBelow(ctx, in, out, e.Name())
		}
		if err != nil {
			return fmt.Errorf("cannot link %q: %w", e.Name(), err)
		}
	}
	return copyDirectory(in, out)
}

func linkBelow(ctx context.Context, in, out *os.File, name string) error {
	if err := unix.Mkdirat(int(out.Fd()), name, 0o700); err != nil {
		return err
	}
	below, err := openTree(int(in.Fd()), name)
	if err != nil {
		return err
	}
	defer below.Close()
	fresh, err := openTree(int(out.Fd()), name)
	if err != nil {
		return err
	}
	defer fresh.Close()
	return linkDirectory(ctx, below, fresh)
}

// copyDirectory gives out what in has beside its entries. Of overlayfs' attributes
// only that of an opaque directory belongs to a layer.
func copyDirectory(in, out *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(in.Fd()), &st); err != nil {
		return err
	}
	m := statMetadata(&st)
	var err error
	if m.xattrs, err = layerXattrs(in); err != nil {
		return err
	}
	return m.setFile(out)
}

func layerXattrs(f *os.File) (map[string]string, error) {
	n, err := unix.Flistxattr(int(f.Fd()), nil)
	if err == unix.ENOTSUP || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list attributes: %w", err)
	}
	found, err := readXattrs(fdPath(int(f.Fd())))
	if err != nil {
		return nil, err
	}
	for _, attr := range opaqueXattrs {
		value := make([]byte, 16)
		if n, err := unix.Fgetxattr(int(f.Fd()), attr, value); err == nil && n == 1 && strings.Contains("yx", string(value[:1])) {
			found[attr] = string(value[:n])
		}
	}
	return found, nil
}
