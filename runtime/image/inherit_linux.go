package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// inheritDirectories gives directories of the layer in dir the owner, mode, times
// and attributes that they have in the layers below (the topmost first), where
// those have such directories.
func inheritDirectories(dir string, names, below []string) error {
	v, err := openView(Image{Layers: below})
	if err != nil {
		return err
	}
	defer v.close()
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	c := copier{view: v}
	for i := len(names) - 1; i >= 0 && len(below) > 0; i-- { // the deepest first
		if err := c.inherit(root, names[i]); err != nil {
			return fmt.Errorf("cannot set up directory %q: %w", names[i], err)
		}
	}
	return nil
}

func (c *copier) inherit(root int, name string) error {
	p, err := c.view.resolve(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !p.isDir() {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := c.metadata(p)
	if err != nil {
		return err
	}
	fd, err := openInRoot(root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
		return nil // a later entry replaced it
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return m.setFile(f)
}
