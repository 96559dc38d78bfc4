package quota

import (
	"errors"
	"fmt"
)

// ErrUnsupported says that a file system does not enforce project quotas.
var ErrUnsupported = errors.New("its file system does not enforce project quotas")

// Error tells what a directory's file system lacks. It matches ErrUnsupported.
type Error struct {
	Dir  string
	Kind string // of the file system; empty: unknown
}

func (e *Error) Error() string {
	return fmt.Sprintf("cannot bound what %q holds: %v: %s", e.Dir, ErrUnsupported, advice(e.Kind))
}

func (e *Error) Unwrap() error { return ErrUnsupported }

func advice(kind string) string {
	switch kind {
	case "ext4":
		return "this is ext4, which needs its features quota and project (tune2fs -O quota,project DEVICE, unmounted) and the mount option prjquota"
	case "xfs":
		return "this is xfs, which needs the mount option prjquota (for the root file system on the kernel's command line: rootflags=prjquota)"
	}
	return "xfs or ext4, mounted with the option prjquota, do"
}

// Ids of ours, out of the way of those in /etc/projects.
const (
	firstID = 1 << 30
	lastID  = 1<<31 - 1
)

// idFor is where to look for a free id: inode numbers of a file system are unique, and
// on ext4 hardly above this.
func idFor(inode uint64) uint32 {
	return firstID + uint32(inode^inode>>30^inode>>60)&(firstID-1)
}

func nextID(id uint32) uint32 {
	if id == lastID {
		return firstID
	}
	return id + 1
}

// isOurs says whether a directory's id was given to it by us: a file system has its
// own, and a parent's is inherited.
func isOurs(id, parent uint32) bool { return id >= firstID && id <= lastID && id != parent }
