package quota

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// blockSize is the unit of limits (QIF_DQBLKSIZE).
const blockSize = 1 << 10

// maxProbes bounds the search for a free id.
const maxProbes = 1024

// Check says whether the file system of dir enforces project quotas; dir may not be
// there yet. Errors: ErrUnsupported.
func Check(dir string) error {
	f, err := openExisting(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return enforced(f)
}

// openExisting opens dir, or the first of its parents that is there.
func openExisting(dir string) (*os.File, error) {
	for {
		f, err := os.Open(dir)
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		return f, err
	}
}

// Limit makes the directory dir, if need be, and bounds what it holds to size bytes
// from now on. What is in it already does not count. Errors: ErrUnsupported.
func Limit(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := enforced(f); err != nil {
		return err
	}
	id, err := claim(f)
	if err == nil {
		err = setLimit(f, id, uint64(size+blockSize-1)/blockSize)
	}
	if err != nil {
		return fmt.Errorf("cannot bound what %q holds: %w", dir, err)
	}
	return nil
}

// Release takes away the limit of a directory that is about to be removed. One that
// has none, or is gone, is no error.
func Release(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := ownID(f)
	if err == nil && id != 0 {
		err = setLimit(f, id, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot release the limit of what %q holds: %w", dir, err)
	}
	return nil
}

// claim gives a directory an id that nobody has, unless it has one.
func claim(f *os.File) (uint32, error) {
	if id, err := ownID(f); err != nil || id != 0 {
		return id, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	id := idFor(inode(info))
	for range maxProbes {
		used, err := isUsed(f, id)
		if err != nil {
			return 0, err
		}
		if !used {
			return id, setProject(f, id)
		}
		id = nextID(id)
	}
	return 0, errors.New("no project id is free")
}

// ownID is the id that we gave to a directory, 0 if none.
func ownID(f *os.File) (uint32, error) {
	id, err := project(f)
	if err != nil || id == 0 {
		return 0, err
	}
	parent, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return 0, err
	}
	defer parent.Close()
	above, err := project(parent)
	if err != nil || !isOurs(id, above) {
		return 0, err
	}
	return id, nil
}

func enforced(f *os.File) error {
	on, err := enforces(f)
	if on || err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("cannot stat the file system of %q: %w", f.Name(), err)
	}
	kind := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs"}[int64(st.Type)]
	return &Error{f.Name(), kind}
}
