package transfer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxDepth bounds the nesting of directories: each level holds a descriptor.
const maxDepth = 512

// kernelFileSystems are not copied where they are mounted below what is: their
// files have no content of their own, or no end.
var kernelFileSystems = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
}

// Source is what a copy starts from.
type Source struct {
	// Base is the last component of its path.
	Base string
	Dir  bool
	// Contents says that the path ended in "/.": a directory's content is meant,
	// not the directory.
	Contents bool

	root  *Root
	place place
}

// Source finds what to copy. A link at the end of the path is copied as it is,
// unless follow is set or the path ends in a slash.
func (r *Root) Source(name string, follow bool) (*Source, error) {
	clean, slash, contents := parsePath(name)
	p, err := r.locate(clean, follow || slash)
	if err != nil {
		return nil, err
	}
	switch {
	case p.stat == nil:
		err = fs.ErrNotExist
	case slash && !p.isDir():
		err = unix.ENOTDIR
	}
	if err != nil {
		p.close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Source{Base: path.Base(clean), Dir: p.isDir(), Contents: contents || clean == "/", root: r, place: p}, nil
}

// Close lets go of the source.
func (s *Source) Close() { s.place.close() }

// parsePath makes a path absolute and clean; a slash at its end says that it is a
// directory, "/." that its content is meant.
func parsePath(name string) (clean string, slash, contents bool) {
	full := "/" + name
	contents = strings.HasSuffix(full, "/.")
	slash = contents || strings.HasSuffix(full, "/")
	return path.Clean(full), slash, contents
}

// packer writes one tar stream.
type packer struct {
	ctx   context.Context
	root  *Root
	tar   *tar.Writer
	links map[fileID]string // names of files that have several
	layer *LayerOptions     // nil for a plain copy
}

type fileID struct{ dev, ino uint64 }

// Pack writes the source as a tar stream in which it is called top. Sockets, and
// what is on the kernel's own file systems, are left out.
func (s *Source) Pack(ctx context.Context, top string, w io.Writer) error {
	return s.pack(top, &packer{ctx: ctx, root: s.root, tar: tar.NewWriter(w), links: map[fileID]string{}})
}

func (s *Source) pack(top string, p *packer) error {
	fd, err := openPath(s.place.dir, s.place.name)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", s.Base, err)
	}
	defer unix.Close(fd)
	if err := p.file(fd, top, 0); err != nil {
		return err
	}
	return p.tar.Close()
}

// openPath opens name in dir, a single component, without following it.
func openPath(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// file packs what fd (O_PATH) refers to.
func (p *packer) file(fd int, name string, depth int) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	hdr := p.header(name, &st)
	if p.layer != nil {
		if done, err := p.layered(fd, hdr, &st); done || err != nil {
			return err
		}
	}
	id := fileID{st.Dev, st.Ino}
	first, linked := p.links[id]
	var err error
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		return p.directory(fd, hdr, &st, depth)
	case kind == unix.S_IFSOCK:
		return nil
	case linked:
		hdr.Typeflag, hdr.Linkname = tar.TypeLink, first
	case kind == unix.S_IFLNK:
		hdr.Typeflag = tar.TypeSymlink
		hdr.Linkname, err = readLink(fd, "")
	case kind == unix.S_IFREG:
		if st.Nlink > 1 {
			p.links[id] = name
		}
		return p.regular(fd, hdr, &st)
	case kind == unix.S_IFIFO:
		hdr.Typeflag = tar.TypeFifo
	case kind == unix.S_IFCHR, kind == unix.S_IFBLK:
		hdr.Typeflag = tar.TypeChar
		if kind == unix.S_IFBLK {
			hdr.Typeflag = tar.TypeBlock
		}
		hdr.Devmajor, hdr.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		err = errors.New("unknown type of file")
	}
	if err == nil {
		err = p.tar.WriteHeader(hdr)
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", name, err)
	}
	return nil
}

func (p *packer) header(name string, st *unix.Stat_t) *tar.Header {
	return &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Format: tar.FormatPAX,
		Uid: p.root.uids.toContainer(st.Uid), Gid: p.root.gids.toContainer(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()),
	}
}

func (p *packer) regular(fd int, hdr *tar.Header, st *unix.Stat_t) error {
	hdr.Typeflag, hdr.Size = tar.TypeReg, st.Size
	f, err := openFile(fd, hdr.Name)
	if err != nil {
		return fmt.Errorf("cannot copy: %w", err)
	}
	defer f.Close()
	if err := p.tar.WriteHeader(hdr); err != nil {
		return fmt.Errorf("cannot copy %s: %w", hdr.Name, err)
	}
	n, err := io.Copy(p.tar, io.LimitReader(f, st.Size))
	if err == nil && n < st.Size {
		err = errors.New("it shrank meanwhile")
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s: %w", hdr.Name, err)
	}
	return nil
}

func (p *packer) directory(fd int, hdr *tar.Header, st *unix.Stat_t, depth int) error {
	name := hdr.Name
	if depth > maxDepth {
		return fmt.Errorf("cannot copy %s: directories are nested too deeply", name)
	}
	hdr.Typeflag, hdr.Name = tar.TypeDir, name+"/"
	if p.layer == nil || depth > 0 {
		if err := p.tar.WriteHeader(hdr); err != nil {
			return fmt.Errorf("cannot copy %s: %w", name, err)
		}
	}
	var kind unix.Statfs_t
	if err := unix.Fstatfs(fd, &kind); err == nil && depth > 0 && slices.Contains(kernelFileSystems, int64(kind.Type)) {
		return nil
	}
	dir, err := reopen(fd, unix.O_RDONLY|unix.O_DIRECTORY, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("cannot list %s: %w", name, err)
	}
	slices.Sort(names)
	if p.layer != nil && p.layer.Upper && depth > 0 && isOpaque(fd) {
		if err := p.mark(path.Join(name, opaqueName)); err != nil {
			return err
		}
	}
	for _, child := range names {
		if err := p.child(int(dir.Fd()), child, path.Join(name, child), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) child(dir int, child, name string, depth int) error {
	fd, err := openPath(dir, child)
	if errors.Is(err, unix.ENOENT) {
		return nil // it went meanwhile
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	defer unix.Close(fd)
	return p.file(fd, name, depth)
}
