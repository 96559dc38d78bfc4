package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ensureDirectory makes a directory of the state with its parents; only root
// looks into it from the host.
func ensureDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make directory %q: %w", dir, err)
	}
	return nil
}

// ensureUpper makes an upper directory. Its owner and mode are what "/" shows
// inside, so a new or still empty one gets those of the image's root, ids
// mapped. One that holds anything was set up before and may have been changed
// by the container since.
func (b *builder) ensureUpper(dir string, like unix.Stat_t) error {
	if err := ensureDirectory(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make directory %q: %w", dir, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot open the upper directory: %w", err)
	}
	defer f.Close()
	switch _, err := f.Readdirnames(1); {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return b.own(int(f.Fd()), like)
	default:
		return fmt.Errorf("cannot read the upper directory: %w", err)
	}
}

// own gives a directory the owner and mode of like, whose ids are the
// container's.
func (b *builder) own(fd int, like unix.Stat_t) error {
	uid, ok := b.uids.host(like.Uid)
	if !ok {
		uid = b.rootUID
	}
	gid, ok := b.gids.host(like.Gid)
	if !ok {
		gid = b.rootGID
	}
	if err := unix.Fchown(fd, int(uid), int(gid)); err != nil {
		return fmt.Errorf("cannot change the owner of the upper directory: %w", err)
	}
	if err := unix.Fchmod(fd, like.Mode&0o7777); err != nil {
		return fmt.Errorf("cannot change the mode of the upper directory: %w", err)
	}
	return nil
}
