package transfer

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"
)

// unmounted refuses the place of a mount. The kernel would not: to a caller of
// another mount namespace the name is an ordinary one, and with it the container's
// mount would go.
func unmounted(dir int, name string) error {
	var st unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, &st)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return errors.New("something is mounted there")
	}
	return err
}

// Mounted says whether something is mounted at name in a container's root.
func (r *Root) Mounted(name string) bool {
	p, err := r.locate(path.Clean("/"+name), false)
	if err != nil {
		return false
	}
	defer p.close()
	var st unix.Statx_t
	err = unix.Statx(p.dir, p.name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
