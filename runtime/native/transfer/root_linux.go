package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/rootfs"
)

// maxLinks is the kernel's own limit on one path.
const maxLinks = 40

// overflowID is what an id without a mapping looks like.
const overflowID = 65534

// Root is a tree of files.
type Root struct {
	dir        *os.File
	uids, gids idMap
	host       bool
}

// NewRoot takes over dir (O_PATH), the root of a container with the given id maps;
// nil maps are those of the host.
func NewRoot(dir *os.File, uids, gids []specs.LinuxIDMapping) *Root {
	return &Root{dir: dir, uids: uids, gids: gids}
}

// Host is the caller's own root.
func Host() (*Root, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open /: %w", err)
	}
	return &Root{dir: os.NewFile(uintptr(fd), "/"), host: true}, nil
}

// Close closes the root.
func (r *Root) Close() error { return r.dir.Close() }

func (r *Root) fd() int { return int(r.dir.Fd()) }

// idMap leads from a container's ids to the host's; nil changes nothing.
type idMap []specs.LinuxIDMapping

func (m idMap) toHost(id int) (uint32, bool) {
	if m == nil {
		return uint32(id), id >= 0 && id < 1<<32-1
	}
	for _, e := range m {
		if id >= int(e.ContainerID) && id-int(e.ContainerID) < int(e.Size) {
			return e.HostID + uint32(id) - e.ContainerID, true
		}
	}
	return 0, false
}

func (m idMap) toContainer(id uint32) int {
	if m == nil {
		return int(id)
	}
	for _, e := range m {
		if id >= e.HostID && id-e.HostID < e.Size {
			return int(e.ContainerID + id - e.HostID)
		}
	}
	return overflowID
}

// holds reports whether an id of the host is one of the container's; 65534 may be, as
// nobody's.
func (m idMap) holds(id uint32) bool {
	return m == nil || slices.ContainsFunc(m, func(e specs.LinuxIDMapping) bool {
		return id >= e.HostID && id-e.HostID < e.Size
	})
}

// ContainerID is the container's id for one of the host's, 65534 without one.
func (r *Root) ContainerID(uid uint32) int { return r.uids.toContainer(uid) }

// place is a name in an open directory: what is renamed elsewhere meanwhile does
// not move it.
type place struct {
	dir  int
	name string // one component, or "." for the directory itself
	stat *unix.Stat_t
}

func (p place) close() { unix.Close(p.dir) }

func (p place) isDir() bool { return p.stat != nil && p.stat.Mode&unix.S_IFMT == unix.S_IFDIR }

// locate finds path. With follow, a link at its end is followed. What does not
// exist in a directory that does has no stat; a missing directory is
// fs.ErrNotExist.
func (r *Root) locate(name string, follow bool) (place, error) {
	for range maxLinks {
		dir, base := path.Split(name)
		if base == "" || base == "." || base == ".." {
			dir, base = name, "."
		}
		if dir == "" {
			dir = "/"
		}
		fd, err := rootfs.OpenInRoot(r.fd(), dir, unix.O_DIRECTORY)
		if err != nil {
			return place{}, &fs.PathError{Op: "open", Path: dir, Err: err}
		}
		p := place{dir: fd, name: base, stat: new(unix.Stat_t)}
		err = unix.Fstatat(fd, base, p.stat, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case errors.Is(err, unix.ENOENT):
			p.stat = nil
			return p, nil
		case err != nil:
			p.close()
			return place{}, &fs.PathError{Op: "stat", Path: name, Err: err}
		case !follow || p.stat.Mode&unix.S_IFMT != unix.S_IFLNK:
			return p, nil
		}
		target, err := readLink(fd, base)
		p.close()
		if err != nil {
			return place{}, &fs.PathError{Op: "readlink", Path: name, Err: err}
		}
		if name = target; !path.IsAbs(target) {
			name = dir + target
		}
	}
	return place{}, &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

func readLink(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buf[:max(n, 0)]), err
}

// openFile opens what fd (O_PATH) refers to for reading, if it is a regular file.
func openFile(fd int, name string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return reopen(fd, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, name)
}

// reopen opens the very file that fd refers to, whatever its name leads to now.
func reopen(fd, flags int, name string) (*os.File, error) {
	again, err := unix.Open(fdPath(fd), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(again), name), nil
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// ReadFile gives the content of a regular file of at most limit bytes.
func (r *Root) ReadFile(name string, limit int64) ([]byte, error) {
	fd, err := rootfs.OpenInRoot(r.fd(), name, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	f, err := openFile(fd, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return b, err
}
