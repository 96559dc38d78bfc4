package image

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links one path may lead through, as in Linux.
const maxLinks = 40

// view is the merged tree of an image's layers, read without mounting it:
// whiteouts and opaque directories count, and every symbolic link is followed
// inside the image only.
type view struct {
	trees []tree
}

// tree is layers of which one shows through another, at a path of the image.
type tree struct {
	at    string // "/" for the image's layers, an overlay's target otherwise
	roots []int  // O_PATH, the topmost first
}

// place is one file of a view; its path is free of links.
type place struct {
	path  string // in the image, absolute
	tree  int
	rel   string // below the tree's roots
	roots []int  // for a directory all roots that it merges, the topmost first
	stat  unix.Stat_t
}

func (p *place) kind() uint32 { return p.stat.Mode & unix.S_IFMT }
func (p *place) isDir() bool  { return p.kind() == unix.S_IFDIR }

// openView opens the layers and overlays of an image. The caller closes it.
func openView(img Image) (*view, error) {
	v := &view{}
	trees := [][]string{img.Layers}
	targets := []string{"/"}
	for _, o := range img.Overlays {
		trees = append(trees, []string{o.Lower})
		targets = append(targets, path.Clean("/"+o.Target))
	}
	for i, dirs := range trees {
		v.trees = append(v.trees, tree{at: targets[i]})
		for _, dir := range dirs {
			fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				v.close()
				return nil, fmt.Errorf("cannot open layer %s: %w", dir, err)
			}
			v.trees[i].roots = append(v.trees[i].roots, fd)
		}
	}
	return v, nil
}

func (v *view) close() {
	for _, t := range v.trees {
		for _, fd := range t.roots {
			unix.Close(fd)
		}
	}
}

// open opens a place's topmost file itself, never what a link points to.
func (v *view) open(p place, flags uint64) (int, error) {
	return openBelow(p.roots[0], p.rel, flags)
}

func openBelow(root int, rel string, flags uint64) (int, error) {
	return openat2(root, rel, flags|unix.O_NOFOLLOW, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
}

func (v *view) root() (place, error) {
	return v.merge(place{path: "/", rel: "."}, v.trees[0].roots)
}

// child finds name in the directory p, as it is: links are not followed.
func (v *view) child(p place, name string) (place, error) {
	next := place{path: path.Join(p.path, name), tree: p.tree, rel: path.Join(p.rel, name)}
	candidates := p.roots
	for i, t := range v.trees {
		if i > 0 && t.at == next.path {
			next.tree, next.rel, candidates = i, ".", t.roots
		}
	}
	return v.merge(next, candidates)
}

// merge fills in what p is, looking for p.rel in candidates, the topmost first.
func (v *view) merge(p place, candidates []int) (place, error) {
	for _, root := range candidates {
		st, last, err := inspect(root, p.rel, len(p.roots) > 0)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			continue
		}
		if err != nil {
			return place{}, fmt.Errorf("cannot look at %s: %w", p.path, err)
		}
		if st != nil {
			if len(p.roots) == 0 {
				p.stat = *st
			}
			p.roots = append(p.roots, root)
		}
		if last {
			break
		}
	}
	if len(p.roots) == 0 {
		return place{}, fmt.Errorf("%s: %w", p.path, fs.ErrNotExist)
	}
	return p, nil
}

// inspect looks at one layer's part of a place. The state is nil for what does not
// show: a whiteout, or a file below a directory of a higher layer. last says that
// nothing below shows either.
func inspect(root int, rel string, wantDir bool) (st *unix.Stat_t, last bool, err error) {
	fd, err := openBelow(root, rel, unix.O_PATH)
	if err != nil {
		return nil, false, err
	}
	defer unix.Close(fd)
	st = new(unix.Stat_t)
	if err := unix.Fstat(fd, st); err != nil {
		return nil, false, err
	}
	self := fdPath(fd)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		opaque, err := hasXattr(self, opaqueXattrs, "y")
		return st, opaque, err
	}
	if wantDir {
		return nil, true, nil
	}
	hidden, err := isWhiteout(st, self)
	if hidden {
		st = nil
	}
	return st, true, err
}

// resolve finds the file at name, following links as a process in the image would.
// Errors: fs.ErrNotExist.
func (v *view) resolve(name string) (place, error) {
	top, err := v.root()
	if err != nil {
		return place{}, err
	}
	trail := []place{top}
	pending := strings.Split(name, "/")
	for links := 0; len(pending) > 0; {
		part := pending[0]
		pending = pending[1:]
		here := trail[len(trail)-1]
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			trail = trail[:max(1, len(trail)-1)]
			continue
		case !here.isDir():
			return place{}, fmt.Errorf("%s is not a directory: %w", here.path, fs.ErrNotExist)
		}
		next, err := v.child(here, part)
		if err != nil {
			return place{}, err
		}
		if next.kind() != unix.S_IFLNK {
			trail = append(trail, next)
			continue
		}
		if links++; links > maxLinks {
			return place{}, fmt.Errorf("%s: too many symbolic links", name)
		}
		target, err := v.readlink(next)
		if err != nil {
			return place{}, err
		}
		if path.IsAbs(target) {
			trail = trail[:1]
		}
		pending = append(strings.Split(target, "/"), pending...)
	}
	return trail[len(trail)-1], nil
}

func (v *view) readlink(p place) (string, error) {
	fd, err := v.open(p, unix.O_PATH)
	if err != nil {
		return "", fmt.Errorf("cannot read link %s: %w", p.path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", fmt.Errorf("cannot read link %s: %w", p.path, err)
	}
	return string(buf[:n]), nil
}

// openFile opens a regular file for reading.
func (v *view) openFile(p place) (*os.File, error) {
	if p.kind() != unix.S_IFREG {
		return nil, fmt.Errorf("%s is not a regular file", p.path)
	}
	fd, err := v.open(p, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", p.path, err)
	}
	return os.NewFile(uintptr(fd), p.path), nil
}

// readFile gives a small file's content; absent is fs.ErrNotExist.
func (v *view) readFile(name string, limit int64) ([]byte, error) {
	p, err := v.resolve(name)
	if err != nil {
		return nil, err
	}
	f, err := v.openFile(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, err
}

// names lists what any layer has in the directory p, whiteouts included: child
// tells what shows.
func (v *view) names(p place) ([]string, error) {
	var all []string
	for _, root := range p.roots {
		fd, err := openBelow(root, p.rel, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return nil, fmt.Errorf("cannot list %s: %w", p.path, err)
		}
		f := os.NewFile(uintptr(fd), p.path)
		names, err := f.Readdirnames(-1)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot list %s: %w", p.path, err)
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
