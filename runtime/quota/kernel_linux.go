package quota

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attributes is struct fsxattr of linux/fs.h.
type attributes struct {
	flags, extent, extents, project, cow uint32
	_                                    [8]byte
}

// From linux/fs.h: _IOR('X', 31, struct fsxattr), _IOW('X', 32, struct fsxattr).
const (
	getAttributes  = 0x801c581f
	setAttributes  = 0x401c5820
	projectInherit = 0x200
)

func attributesOf(f *os.File) (a attributes, err error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), getAttributes, uintptr(unsafe.Pointer(&a)))
	if errno != 0 {
		return a, errno
	}
	return a, nil
}

// project is 0 also on a file system that knows none.
func project(f *os.File) (uint32, error) {
	a, err := attributesOf(f)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the project of %q: %w", f.Name(), err)
	}
	return a.project, nil
}

func setProject(f *os.File, id uint32) error {
	a, err := attributesOf(f)
	if err != nil {
		return fmt.Errorf("cannot read the project of %q: %w", f.Name(), err)
	}
	a.project, a.flags = id, a.flags|projectInherit
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), setAttributes, uintptr(unsafe.Pointer(&a))); errno != 0 {
		return fmt.Errorf("cannot set the project of %q: %w", f.Name(), errno)
	}
	return nil
}

// quotas is struct if_dqblk of linux/quota.h; limits of space in blocks, use in bytes.
type quotas struct {
	hard, soft, space           uint64
	hardFiles, softFiles, files uint64
	untilSpace, untilFiles      uint64
	valid                       uint32
	_                           uint32
}

// From linux/quota.h and linux/dqblk_xfs.h.
const (
	projectQuota = 2
	getQuota     = 0x800007
	setQuota     = 0x800008
	getState     = 'X'<<8 + 5
	spaceLimits  = 1
	projectLimit = 1 << 5 // FS_QUOTA_PDQ_ENFD
)

// state is struct fs_quota_stat.
type state struct {
	version int8
	flags   uint16
	_       [76]byte
}

func quotactl(f *os.File, command uintptr, id uint32, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), command<<8|projectQuota, uintptr(id), uintptr(arg), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// enforces says whether limits of projects count where f is. Usage may be accounted
// without that.
func enforces(f *os.File) (bool, error) {
	var s state
	err := quotactl(f, getState, 0, unsafe.Pointer(&s))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return false, fmt.Errorf("cannot ask for the quotas of %q: %w", f.Name(), err)
	}
	return err == nil && s.flags&projectLimit != 0, nil
}

// isUsed says whether anything is accounted for or limited by id.
func isUsed(f *os.File, id uint32) (bool, error) {
	var q quotas
	err := quotactl(f, getQuota, id, unsafe.Pointer(&q))
	if errors.Is(err, unix.ENOENT) { // xfs: never heard of
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read the quota of project %d: %w", id, err)
	}
	return q.hard|q.soft|q.hardFiles|q.softFiles|q.space|q.files != 0, nil
}

// setLimit bounds the space of a project; 0 is no bound.
func setLimit(f *os.File, id uint32, blocks uint64) error {
	q := quotas{hard: blocks, valid: spaceLimits}
	if err := quotactl(f, setQuota, id, unsafe.Pointer(&q)); err != nil {
		return fmt.Errorf("cannot set the quota of project %d: %w", id, err)
	}
	return nil
}

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
