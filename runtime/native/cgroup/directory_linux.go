package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// removeLimit bounds the wait for a group to become removable: exiting
// processes leave their group some moments after their parent was told.
const removeLimit = 2 * time.Second

// makeGroup makes mount+path and what is missing above. Parents may be removed
// by others at any moment, because they go when empty. An unused group of that
// name is removed first: its limits would still stand.
func makeGroup(mount, path string) error {
	dir := mount + path
	for range 1000 {
		err := unix.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			return nil
		case err == unix.ENOENT:
			err = makeParents(mount, path)
		case err == unix.EEXIST:
			err = removeUnused(dir)
		}
		if err != nil && err != unix.EINTR {
			return denied(&fs.PathError{Op: "mkdir", Path: dir, Err: err})
		}
	}
	return fmt.Errorf("cannot make %q: its parents are removed again and again", dir)
}

func makeParents(mount, path string) error {
	if !exists(mount) {
		return unix.ENOTDIR
	}
	for _, up := range ancestors(path) {
		err := unix.Mkdir(mount+up, 0o755)
		if err == unix.ENOENT {
			return nil // removed by another: the caller starts over
		}
		if err != nil && err != unix.EEXIST {
			return err
		}
	}
	return nil
}

func removeUnused(dir string) error {
	switch err := unix.Rmdir(dir); err {
	case unix.EBUSY, unix.ENOTEMPTY:
		return ErrExists
	case unix.ENOENT:
		return nil
	default:
		return err
	}
}

// denied explains the errors of a place that is not ours to write.
func denied(err error) error {
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("%w (%w)", ErrNotDelegated, err)
	}
	return err
}

// removeTree removes dir and every group below it.
func removeTree(dir string, b *backoff) error {
	for {
		err := unix.Rmdir(dir)
		switch err {
		case nil, unix.ENOENT:
			return nil
		case unix.EINTR:
			continue
		case unix.EBUSY, unix.ENOTEMPTY:
		default:
			return denied(&fs.PathError{Op: "rmdir", Path: dir, Err: err})
		}
		subs, err := subgroups(dir)
		if err != nil && !gone(err) {
			return err
		}
		for _, s := range subs {
			if err := removeTree(s, b); err != nil {
				return err
			}
		}
		if !b.wait() {
			return fmt.Errorf("cannot remove %q: %w", dir, ErrBusy)
		}
	}
}

// removeParents removes the directories above path that are ours and empty.
// rmdir(2) decides, so a group that another makes meanwhile is safe.
func removeParents(mount, path string) {
	for _, up := range disposable(path) {
		if unix.Rmdir(mount+up) != nil {
			return
		}
	}
}
