package image

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What overlayfs writes for a deleted file and for a directory that hides the
// lower ones: see "whiteouts and opaque directories" in the kernel's overlayfs.rst.
// The user. names are for mounts made without privilege.
var (
	opaqueXattrs   = []string{"trusted.overlay.opaque", "user.overlay.opaque"}
	whiteoutXattrs = []string{"trusted.overlay.whiteout", "user.overlay.whiteout"}
)

// makeWhiteout hides name. A file system that is itself an overlay refuses the
// device; there Linux 6.7 understands an empty file with an attribute, in a
// directory marked with "x".
func makeWhiteout(parent int, name string) error {
	err := unix.Mknodat(parent, name, unix.S_IFCHR, 0)
	if err != unix.EPERM {
		return err
	}
	fd, err := unix.Openat(parent, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	unix.Close(fd)
	if err := setFirst(procPath(parent, name), whiteoutXattrs, "y"); err != nil {
		return fmt.Errorf("cannot mark whiteout: %w", err)
	}
	if opaque, err := hasXattr(procPath(parent, "."), opaqueXattrs, "y"); opaque || err != nil {
		return err
	}
	return setFirst(procPath(parent, "."), opaqueXattrs, "x")
}

func setOpaque(name string) error {
	if err := setFirst(name, opaqueXattrs, "y"); err != nil {
		return fmt.Errorf("cannot mark opaque directory: %w", err)
	}
	return nil
}

// setFirst sets the first attribute that this user may set.
func setFirst(name string, attrs []string, value string) error {
	var err error
	for _, attr := range attrs {
		err = unix.Lsetxattr(name, attr, []byte(value), 0)
		if !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return err
}

// hasXattr says whether one of attrs has the value. A name that ends in a magic
// link (fdPath) means the open file itself, even a symbolic link.
func hasXattr(name string, attrs []string, value string) (bool, error) {
	buf := make([]byte, 16)
	for _, attr := range attrs {
		n, err := unix.Getxattr(name, attr, buf)
		switch err {
		case nil:
			if string(buf[:n]) == value {
				return true, nil
			}
		case unix.ENODATA, unix.ENOTSUP, unix.ERANGE:
		default:
			return false, fmt.Errorf("cannot read attribute %s: %w", attr, err)
		}
	}
	return false, nil
}

// isWhiteoutAt says whether name hides a file of the lower layers; false also
// when there is no such name.
func isWhiteoutAt(parent int, name string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return isWhiteout(&st, procPath(parent, name))
}

// isWhiteout judges the file with this state, found under the path name, which is
// no symbolic link.
func isWhiteout(st *unix.Stat_t, name string) (bool, error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		return st.Rdev == 0, nil
	case unix.S_IFREG:
		if st.Size != 0 {
			return false, nil
		}
		return hasXattr(name, whiteoutXattrs, "y")
	}
	return false, nil
}
