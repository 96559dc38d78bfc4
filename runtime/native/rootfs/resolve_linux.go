package rootfs

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is the kernel's own limit on one path.
const maxLinks = 40

// maxRaces is how often openat2 may lose against a rename (EAGAIN): somebody
// who shares a volume could rename for ever.
const maxRaces = 256

// inRoot opens path, taken from root as a process that is confined to root
// would take it. extra adds RESOLVE_ flags.
func inRoot(root int, path string, extra uint64) (int, error) {
	return openHow(root, path, unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | extra,
	})
}

func openHow(root int, path string, how unix.OpenHow) (fd int, err error) {
	for range maxRaces {
		err = retry(func() (err error) {
			fd, err = unix.Openat2(root, path, &how)
			return err
		})
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	return fd, err
}

// ensure is inRoot that makes what is missing: directories on the way, and at
// the end a directory or an empty file. With noLinks a link on the way is an
// error (ELOOP).
func ensure(root int, path string, dir, noLinks bool) (int, error) {
	var extra uint64
	w := walk{root: root, links: maxLinks}
	if noLinks {
		extra, w.links = unix.RESOLVE_NO_SYMLINKS, 0
	}
	fd, err := inRoot(root, path, extra)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	return w.create(path, dir)
}

// walk creates a path step by step. It stands on a stack of open directories,
// so ".." leads to where the walk came from and never above root, whatever is
// renamed meanwhile.
type walk struct {
	root  int
	links int // how many more may be followed
	dirs  []int
}

func (w *walk) create(path string, dir bool) (int, error) {
	defer w.up(0)
	rest := components(path)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			w.up(max(0, len(w.dirs)-1))
			continue
		}
		fd, err := w.step(name, dir || len(rest) > 0)
		if err != nil {
			return -1, err
		}
		link, err := readLink(fd)
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		if link == "" {
			w.dirs = append(w.dirs, fd)
			continue
		}
		unix.Close(fd)
		if w.links--; w.links < 0 {
			return -1, unix.ELOOP
		}
		if strings.HasPrefix(link, "/") {
			w.up(0)
		}
		rest = append(components(link), rest...)
	}
	return unix.FcntlInt(uintptr(w.here()), unix.F_DUPFD_CLOEXEC, 0)
}

func (w *walk) here() int {
	if len(w.dirs) == 0 {
		return w.root
	}
	return w.dirs[len(w.dirs)-1]
}

// up goes back until depth directories are open.
func (w *walk) up(depth int) {
	for _, fd := range w.dirs[depth:] {
		unix.Close(fd)
	}
	w.dirs = w.dirs[:depth]
}

// step opens name, without following it, and makes it when it is missing.
func (w *walk) step(name string, dir bool) (int, error) {
	for {
		fd, err := openat(w.here(), name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		if !errors.Is(err, unix.ENOENT) {
			return fd, err
		}
		if dir {
			err = unix.Mkdirat(w.here(), name, 0o755)
		} else {
			err = unix.Mknodat(w.here(), name, unix.S_IFREG|0o644, 0)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, err
		}
	}
}

// readLink is the text of the link that fd refers to, empty for anything else.
func readLink(fd int) (string, error) {
	kind, err := fileType(fd)
	if err != nil || kind != unix.S_IFLNK {
		return "", err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buf[:max(n, 0)]), err
}

// components splits a path; "." and empty parts mean nothing.
func components(path string) []string {
	var out []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			out = append(out, part)
		}
	}
	return out
}
