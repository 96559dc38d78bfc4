package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// applier unpacks one layer. Every parent is opened inside the layer's root by
// openat2, and every file is made by its name in such a descriptor, so links of
// the archive lead nowhere else.
type applier struct {
	root        int
	limits      Limits
	done        Applied
	directories directoryList
	buffer      []byte

	// The parent of the last entry: archives list a directory's files together.
	parentName string
	parent     int
}

func newApplier(dir string, limits Limits) (*applier, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open layer %s: %w", dir, err)
	}
	return &applier{root: root, parent: -1, limits: limits, buffer: make([]byte, 256<<10)}, nil
}

func (a *applier) close() {
	a.forgetParent()
	unix.Close(a.root)
}

// forgetParent must follow every removal: what was removed may have been a link
// that the cached parent's name led through.
func (a *applier) forgetParent() {
	if a.parent >= 0 {
		unix.Close(a.parent)
	}
	a.parent, a.parentName = -1, ""
}

// dir gives a descriptor of a directory of the layer, valid until the next call;
// directories that are absent are made.
func (a *applier) dir(name string) (int, error) {
	if a.parent >= 0 && a.parentName == name {
		return a.parent, nil
	}
	fd, err := openInRoot(a.root, name, unix.O_PATH|unix.O_DIRECTORY)
	if (err == unix.ENOENT || err == unix.ENOTDIR) && name != "." {
		if err := a.implyDir(name); err != nil {
			return -1, err
		}
		fd, err = openInRoot(a.root, name, unix.O_PATH|unix.O_DIRECTORY)
	}
	if err != nil {
		return -1, fmt.Errorf("cannot open directory %q: %w", name, err)
	}
	a.forgetParent()
	a.parent, a.parentName = fd, name
	return fd, nil
}

func (a *applier) implyDir(name string) error {
	a.done.Entries++
	if a.done.Entries > a.limits.Entries {
		return fmt.Errorf("%w: the layer has more than %d entries", ErrHostile, a.limits.Entries)
	}
	up, err := a.dir(path.Dir(name))
	if err != nil {
		return err
	}
	err = a.makeDir(up, path.Base(name))
	if err == unix.EEXIST {
		err = unix.ENOTDIR // a file, or a link that leads nowhere
	}
	if err != nil {
		return fmt.Errorf("cannot make directory %q: %w", name, err)
	}
	// Below an opaque directory nothing of the lower layers shows.
	for _, d := range []string{procPath(up, "."), procPath(up, path.Base(name))} {
		if hidden, err := hasXattr(d, opaqueXattrs, "y"); hidden || err != nil {
			return err
		}
	}
	a.done.Implied = append(a.done.Implied, name)
	return nil
}

// makeDir makes a directory; over a whiteout of the same layer it is opaque.
func (a *applier) makeDir(parent int, name string) error {
	hidden, err := isWhiteoutAt(parent, name)
	if err != nil {
		return err
	}
	if hidden {
		if err := unix.Unlinkat(parent, name, 0); err != nil {
			return err
		}
	}
	if err := unix.Mkdirat(parent, name, 0o755); err != nil {
		return err
	}
	if err := unix.Fchmodat(parent, name, 0o755, 0); err != nil { // past the umask
		return err
	}
	if hidden {
		return setOpaque(procPath(parent, name))
	}
	return nil
}

// opaque marks a directory as hiding the lower layers' content.
func (a *applier) opaque(name string) error {
	fd, err := a.dir(name)
	if err != nil {
		return err
	}
	return setOpaque(procPath(fd, "."))
}

// whiteout hides base in the lower layers. What the same layer has under that
// name stays; a directory becomes opaque, since only its lower part is gone.
func (a *applier) whiteout(dir, base string) error {
	if base == "" || base == "." || base == ".." {
		return fmt.Errorf("%w: a whiteout of %q", ErrHostile, base)
	}
	parent, err := a.dir(dir)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	switch err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == unix.ENOENT:
		return makeWhiteout(parent, base)
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return setOpaque(procPath(parent, base))
	}
	return nil
}

// create makes a file of any type, in place of one that is there already.
func (a *applier) create(name string, h *tar.Header, body io.Reader) error {
	parent, err := a.dir(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if h.Typeflag == tar.TypeDir {
		return a.directory(parent, name, h)
	}
	if h.Typeflag == tar.TypeLink {
		return a.hardLink(parent, name, h.Linkname)
	}
	if parent, err = a.clear(parent, name); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		return a.regular(parent, base, h, body)
	case tar.TypeSymlink:
		err = unix.Symlinkat(h.Linkname, parent, base)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		err = a.node(parent, base, h)
		if errors.Is(err, errSkipped) {
			a.done.Skipped = append(a.done.Skipped, name)
			return nil
		}
	default:
		return fmt.Errorf("the entry has the unknown type %q", h.Typeflag)
	}
	if err != nil {
		return err
	}
	return metadataOf(h).set(parent, base, h.Typeflag == tar.TypeSymlink)
}

func (a *applier) directory(parent int, name string, h *tar.Header) error {
	base := path.Base(name)
	var st unix.Stat_t
	err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		a.directories.add(name, h)
		return nil
	}
	hidden, herr := isWhiteoutAt(parent, base)
	if herr != nil {
		return herr
	}
	if err == nil && !hidden {
		if parent, err = a.clear(parent, name); err != nil {
			return err
		}
	}
	if err := a.makeDir(parent, base); err != nil {
		return err
	}
	a.directories.add(name, h)
	return nil
}

// clear removes what the layer already has under name and gives the parent again.
func (a *applier) clear(parent int, name string) (int, error) {
	base := path.Base(name)
	err := unix.Unlinkat(parent, base, 0)
	if err == unix.ENOENT {
		return parent, nil
	}
	if err == unix.EISDIR || err == unix.EPERM {
		err = removeTreeAt(parent, base)
	}
	if err != nil {
		return -1, fmt.Errorf("cannot replace it: %w", err)
	}
	a.forgetParent()
	return a.dir(path.Dir(name))
}

func removeTreeAt(parent int, name string) error {
	root, err := os.OpenRoot(procPath(parent, "."))
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(name)
}

func (a *applier) hardLink(parent int, name, target string) error {
	written := target
	target, err := entryName(written)
	if err != nil {
		return fmt.Errorf("cannot link to %q: %w", written, err)
	}
	if target == name || target == "." {
		return fmt.Errorf("%w: hard link to %q", ErrHostile, target)
	}
	from, err := openInRoot(a.root, path.Dir(target), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("cannot find the hard link's target %q in this layer: %w", target, err)
	}
	defer unix.Close(from)
	var st unix.Stat_t
	if err := unix.Fstatat(from, path.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("cannot find the hard link's target %q in this layer: %w", target, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("%w: hard link to the directory %q", ErrHostile, target)
	}
	if parent, err = a.clear(parent, name); err != nil {
		return err
	}
	if err := unix.Linkat(from, path.Base(target), parent, path.Base(name), 0); err != nil {
		return fmt.Errorf("cannot link to %q: %w", target, err)
	}
	return nil
}

// regular writes a file. Holes stay holes in files stored as sparse.
func (a *applier) regular(parent int, base string, h *tar.Header, body io.Reader) error {
	fd, err := unix.Openat(parent, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	if err := a.write(f, body, isSparse(h)); err != nil {
		return err
	}
	if err := f.Truncate(h.Size); err != nil {
		return err
	}
	return metadataOf(h).setFile(f)
}

func (a *applier) write(f *os.File, body io.Reader, sparse bool) error {
	for {
		n, err := io.ReadFull(body, a.buffer)
		if n > 0 {
			if werr := writeBlock(f, a.buffer[:n], sparse); werr != nil {
				return werr
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return bodyEnd(body)
		}
		if err != nil {
			return fmt.Errorf("cannot read its content: %w", err)
		}
	}
}

// bodyEnd tells the end of the file from the end of a truncated archive, which
// io.ReadFull reports alike.
func bodyEnd(body io.Reader) error {
	if _, err := body.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("cannot read its content: %w", err)
	}
	return nil
}

func writeBlock(f *os.File, block []byte, sparse bool) error {
	var err error
	if sparse && isZero(block) {
		_, err = f.Seek(int64(len(block)), io.SeekCurrent)
	} else {
		_, err = f.Write(block)
	}
	return err
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

var errSkipped = errors.New("skipped")

func (a *applier) node(parent int, base string, h *tar.Header) error {
	types := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}
	var dev uint64
	if h.Typeflag != tar.TypeFifo {
		dev = unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	}
	err := unix.Mknodat(parent, base, types[h.Typeflag]|0o600, int(dev))
	if err == unix.EPERM && h.Typeflag != tar.TypeFifo {
		return errSkipped
	}
	return err
}

// finishDirectories sets owners, modes and times, the deepest directory first.
func (a *applier) finishDirectories() error {
	l := a.directories
	for i := len(l.order) - 1; i >= 0; i-- {
		name := l.order[i]
		fd, err := openInRoot(a.root, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
			continue // a later entry replaced it
		}
		if err != nil {
			return fmt.Errorf("cannot open directory %q: %w", name, err)
		}
		f := os.NewFile(uintptr(fd), name)
		err = metadataOf(l.headers[name]).setFile(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("cannot unpack %q: %w", name, err)
		}
	}
	return nil
}

// openInRoot opens name as a process would whose root is the directory root.
func openInRoot(root int, name string, flags uint64) (int, error) {
	return openat2(root, name, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}

func openat2(dir int, name string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		// EAGAIN: something was renamed on the way, nothing is known.
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

// procPath names a file of an open directory for system calls that take no
// descriptor.
func procPath(dir int, name string) string {
	return fdPath(dir) + "/" + name
}

// fdPath names an open file itself, also one opened with O_PATH.
func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
