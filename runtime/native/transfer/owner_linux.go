package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// own gives a file that was just made its ids. It belongs to its maker; what does
// not was put in its place, and to own that must not be given away.
func (u *unpacker) own(fd int, hdr *tar.Header) error {
	if u.target.root.host && !u.opts.Keep {
		return nil
	}
	uid, gid, err := u.ids(hdr)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Uid != u.maker:
		return errors.New("it was replaced while it was copied")
	case st.Uid == uid && st.Gid == gid:
		return nil
	}
	return unix.Fchownat(fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
}

// ids are the host's ids for an entry.
func (u *unpacker) ids(hdr *tar.Header) (uid, gid uint32, err error) {
	wantUID, wantGID := 0, 0
	if u.opts.Keep {
		wantUID, wantGID = hdr.Uid, hdr.Gid
	}
	uid, okUID := u.target.root.uids.toHost(wantUID)
	gid, okGID := u.target.root.gids.toHost(wantGID)
	if !okUID || !okGID {
		return 0, 0, fmt.Errorf("the owner %d:%d lies outside the container's user namespace", wantUID, wantGID)
	}
	return uid, gid, nil
}

// mode is an entry's mode. The host does not take set-id programs from a container.
func (u *unpacker) mode(hdr *tar.Header) uint32 {
	mode := uint32(hdr.Mode) & 0o7777
	if u.target.root.host {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	return mode
}

func timeval(t time.Time) unix.Timeval { return unix.NsecToTimeval(t.UnixNano()) }

func newFile(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }
