package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// metadata is what a file has beside its content.
type metadata struct {
	uid, gid int
	mode     uint32 // permission bits with setuid, setgid, sticky
	modified time.Time
	xattrs   map[string]string
}

const paxXattr = "SCHILY.xattr."

func metadataOf(h *tar.Header) metadata {
	m := metadata{uid: h.Uid, gid: h.Gid, mode: uint32(h.Mode & 0o7777), modified: h.ModTime}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, paxXattr); ok && xattrAllowed(name) {
			if m.xattrs == nil {
				m.xattrs = map[string]string{}
			}
			m.xattrs[name] = value
		}
	}
	return m
}

// xattrAllowed says which attributes an image may carry. Those of overlayfs would
// let a layer point into others, and labels of security modules belong to the host.
func xattrAllowed(name string) bool {
	switch {
	case name == "security.capability":
		return true
	case strings.HasPrefix(name, "user."):
		return !strings.HasPrefix(name, "user.overlay.")
	}
	return strings.HasPrefix(name, "system.posix_acl_")
}

func (m metadata) check() error {
	if m.uid < 0 || m.gid < 0 || int64(m.uid) >= math.MaxUint32 || int64(m.gid) >= math.MaxUint32 {
		return fmt.Errorf("the owner %d:%d is out of range", m.uid, m.gid)
	}
	return nil
}

// setFile gives an open file or directory its metadata. The order matters: chown
// clears setuid bits and capabilities, everything changes the times.
func (m metadata) setFile(f *os.File) error {
	if err := m.check(); err != nil {
		return err
	}
	fd := int(f.Fd())
	if err := ownerError(unix.Fchown(fd, m.uid, m.gid)); err != nil {
		return fmt.Errorf("cannot set owner: %w", err)
	}
	if err := unix.Fchmod(fd, m.mode); err != nil {
		return fmt.Errorf("cannot set mode: %w", err)
	}
	for name, value := range m.xattrs {
		if err := xattrError(unix.Fsetxattr(fd, name, []byte(value), 0)); err != nil {
			return fmt.Errorf("cannot set attribute %s: %w", name, err)
		}
	}
	return setTimes(unix.AT_FDCWD, fdPath(fd), m.modified, 0)
}

// set gives the file base of the directory parent its metadata.
func (m metadata) set(parent int, base string, symlink bool) error {
	if err := m.check(); err != nil {
		return err
	}
	if err := ownerError(unix.Fchownat(parent, base, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
		return fmt.Errorf("cannot set owner: %w", err)
	}
	if !symlink { // so this follows nothing
		if err := unix.Fchmodat(parent, base, m.mode, 0); err != nil {
			return fmt.Errorf("cannot set mode: %w", err)
		}
		for name, value := range m.xattrs {
			err := unix.Lsetxattr(procPath(parent, base), name, []byte(value), 0)
			if err := xattrError(err); err != nil {
				return fmt.Errorf("cannot set attribute %s: %w", name, err)
			}
		}
	}
	return setTimes(parent, base, m.modified, unix.AT_SYMLINK_NOFOLLOW)
}

func setTimes(dir int, name string, modified time.Time, flags int) error {
	if modified.Unix() < 0 {
		modified = time.Unix(0, 0)
	}
	ts := unix.NsecToTimespec(0)
	ts.Sec, ts.Nsec = modified.Unix(), int64(modified.Nanosecond())
	if err := unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, flags); err != nil {
		return fmt.Errorf("cannot set time: %w", err)
	}
	return nil
}

// ownerError forgives what only root can do: without it everything is the user's.
func ownerError(err error) error {
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return nil
	}
	return err
}

// xattrError forgives file systems without attributes, and users who may not set
// capabilities.
func xattrError(err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return nil
	}
	return err
}

// statMetadata is the metadata of a file that exists, without attributes.
func statMetadata(st *unix.Stat_t) metadata {
	return metadata{
		uid: int(st.Uid), gid: int(st.Gid), mode: st.Mode & 0o7777,
		modified: time.Unix(st.Mtim.Unix()),
	}
}

// readXattrs gives the attributes of name that an image may carry.
func readXattrs(name string) (map[string]string, error) {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Listxattr(name, list)
	if errors.Is(err, unix.ENOTSUP) || n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list attributes: %w", err)
	}
	found := map[string]string{}
	for attr := range strings.SplitSeq(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		if !xattrAllowed(attr) {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Getxattr(name, attr, value)
		if err != nil {
			return nil, fmt.Errorf("cannot read attribute %s: %w", attr, err)
		}
		found[attr] = string(value[:n])
	}
	return found, nil
}
