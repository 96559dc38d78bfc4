package rootfs

import "golang.org/x/sys/unix"

// OpenInRoot opens path (O_PATH) as a process confined to root would find it: no
// link, "..", mount or rename leads out. extra adds open flags, such as
// O_NOFOLLOW for what the last component is itself.
func OpenInRoot(root int, path string, extra uint64) (int, error) {
	return openHow(root, path, unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | extra,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// OpenBeneath opens path (O_PATH) below dir without following any link.
func OpenBeneath(dir int, path string, extra uint64) (int, error) {
	return openHow(dir, path, unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC | extra,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// As runs f on a thread of its own whose new files belong to uid and gid, ids of
// the host: an id-mapped mount refuses those of an id that it does not map.
func As(uid, gid uint32, f func() error) error {
	return throwAway(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // for a umask of its own
			return err
		}
		unix.Umask(0)
		if err := createAs(uid, gid); err != nil {
			return err
		}
		return f()
	})
}
