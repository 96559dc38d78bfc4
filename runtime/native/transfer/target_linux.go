package transfer

import (
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"stack/runtime/native/rootfs"
)

// Target is where a copy goes: a name in an open directory.
type Target struct {
	root  *Root
	place place
	label string // for messages
}

// Close lets go of the target.
func (t *Target) Close() { t.place.close() }

// Target decides where a source goes, as `docker cp` does:
//
//	path is         a file             a directory
//	absent          is made            is made, with the source's content
//	absent, with /  error              likewise
//	a file          is replaced        error
//	a directory     path/BASE          path/BASE; with "/." the content into path
func (r *Root) Target(name string, from *Source) (*Target, error) {
	clean, slash, _ := parsePath(name)
	p, err := r.locate(clean, true)
	if err != nil {
		return nil, err
	}
	t := &Target{root: r, place: p, label: name}
	if err = t.check(from, slash); err == nil && p.isDir() && !(from.Dir && from.Contents) {
		err = t.enter(from)
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *Target) check(from *Source, slash bool) error {
	switch p := t.place; {
	case p.isDir():
		return nil
	case p.stat == nil && slash && !from.Dir:
		return &fs.PathError{Op: "open", Path: t.label, Err: fs.ErrNotExist}
	case p.stat == nil:
		return nil
	case from.Dir:
		return fmt.Errorf("cannot copy a directory onto the file %s", t.label)
	case slash:
		return &fs.PathError{Op: "open", Path: t.label, Err: unix.ENOTDIR}
	}
	return replaceable(t.place, t.label)
}

// enter moves the target into the directory that it is.
func (t *Target) enter(from *Source) error {
	dir, err := rootfs.OpenBeneath(t.place.dir, t.place.name, unix.O_DIRECTORY)
	if err != nil {
		return &fs.PathError{Op: "open", Path: t.label, Err: err}
	}
	t.place.close()
	t.label = path.Join(t.label, from.Base)
	t.place = place{dir: dir, name: from.Base, stat: new(unix.Stat_t)}
	if err := unix.Fstatat(dir, from.Base, t.place.stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.place.stat = nil
		return nil
	}
	switch {
	case from.Dir && !t.place.isDir():
		return fmt.Errorf("cannot copy a directory onto %s, which is none", t.label)
	case !from.Dir && t.place.isDir():
		return fmt.Errorf("cannot copy a file onto the directory %s", t.label)
	case from.Dir:
		return nil
	}
	return replaceable(t.place, t.label)
}

// replaceable refuses to put a file in the place of a mount, device, FIFO or socket.
func replaceable(p place, label string) error {
	switch p.stat.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFLNK:
		if err := unmounted(p.dir, p.name); err != nil {
			return fmt.Errorf("cannot copy onto %s: %w", label, err)
		}
		return nil
	}
	return fmt.Errorf("cannot copy onto %s: it is not a regular file", label)
}

// Directory is an existing directory as the target of an archive from elsewhere.
func (r *Root) Directory(name string) (*Target, error) {
	clean, _, _ := parsePath(name)
	p, err := r.locate(clean, true)
	if err != nil {
		return nil, err
	}
	switch {
	case p.stat == nil:
		err = fs.ErrNotExist
	case !p.isDir():
		err = unix.ENOTDIR
	}
	if err != nil {
		p.close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &Target{root: r, place: p, label: name}, nil
}
