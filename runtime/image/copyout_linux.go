package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// CopyOut implements Resolver.
func (s *Store) CopyOut(ctx context.Context, img Image, name, dir string) (bool, error) {
	found, err := copyOut(ctx, img, name, dir)
	if err != nil {
		return false, fmt.Errorf("cannot copy %s out of image %q: %w", name, img.Ref, err)
	}
	return found, nil
}

func copyOut(ctx context.Context, img Image, name, dir string) (bool, error) {
	v, err := openView(img)
	if err != nil {
		return false, err
	}
	defer v.close()
	p, err := v.resolve(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !p.isDir() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	to, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(to), dir)
	defer f.Close()
	c := copier{view: v, to: to, links: map[fileID]string{}}
	return true, c.directory(ctx, p, f, "")
}

// fileID identifies a file with several names.
type fileID struct{ dev, ino uint64 }

// copier copies a part of a view.
type copier struct {
	view  *view
	to    int               // the top of the copy
	links map[fileID]string // where a file with several names went, below the top
}

// directory fills f, which is at below the top, with p's content and then gives
// it p's metadata.
func (c *copier) directory(ctx context.Context, p place, f *os.File, at string) error {
	names, err := c.view.names(p)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		child, err := c.view.child(p, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a whiteout
		}
		if err != nil {
			return err
		}
		if err := c.file(ctx, child, int(f.Fd()), path.Join(at, name)); err != nil {
			return fmt.Errorf("%s: %w", child.path, err)
		}
	}
	m, err := c.metadata(p)
	if err != nil {
		return err
	}
	return m.setFile(f)
}

// file copies p of any type to the place at below the top, whose parent is to.
func (c *copier) file(ctx context.Context, p place, to int, at string) error {
	base := path.Base(at)
	if p.isDir() {
		return c.subdirectory(ctx, p, to, at)
	}
	id := fileID{p.stat.Dev, p.stat.Ino}
	if first, ok := c.links[id]; ok {
		return unix.Linkat(c.to, first, to, base, 0)
	}
	if p.stat.Nlink > 1 {
		c.links[id] = at
	}
	switch p.kind() {
	case unix.S_IFREG:
		return c.regular(p, to, base)
	case unix.S_IFLNK:
		target, err := c.view.readlink(p)
		if err == nil {
			err = unix.Symlinkat(target, to, base)
		}
		if err != nil {
			return err
		}
		return statMetadata(&p.stat).set(to, base, true)
	case unix.S_IFSOCK:
		return nil // nobody listens on it any more
	}
	if err := unix.Mknodat(to, base, p.kind()|0o600, int(p.stat.Rdev)); err != nil {
		return fmt.Errorf("cannot make device node: %w", err)
	}
	return statMetadata(&p.stat).set(to, base, false)
}

func (c *copier) subdirectory(ctx context.Context, p place, to int, at string) error {
	base := path.Base(at)
	if err := unix.Mkdirat(to, base, 0o700); err != nil {
		return err
	}
	fd, err := openBelow(to, base, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	return c.directory(ctx, p, f, at)
}

func (c *copier) regular(p place, to int, base string) error {
	in, err := c.view.openFile(p)
	if err != nil {
		return err
	}
	defer in.Close()
	fd, err := unix.Openat(to, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), base)
	defer out.Close()
	if err := copyData(out, in, p.stat.Size); err != nil {
		return err
	}
	m, err := c.metadata(p)
	if err != nil {
		return err
	}
	return m.setFile(out)
}

func (c *copier) metadata(p place) (metadata, error) {
	m := statMetadata(&p.stat)
	fd, err := c.view.open(p, unix.O_PATH)
	if err != nil {
		return m, err
	}
	defer unix.Close(fd)
	m.xattrs, err = readXattrs(fdPath(fd))
	return m, err
}

// copyData copies size bytes; holes stay holes.
func copyData(out, in *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := in.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return err
		}
		end, err := in.Seek(data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		end = min(end, size)
		if err := copyRange(out, in, data, end-data); err != nil {
			return err
		}
		at = end
	}
	return out.Truncate(size)
}

func copyRange(out, in *os.File, at, n int64) error {
	if n <= 0 {
		return nil
	}
	for _, f := range []*os.File{in, out} {
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
	}
	_, err := io.CopyN(out, in, n)
	return err
}
