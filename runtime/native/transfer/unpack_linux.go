package transfer

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime/native/rootfs"
)

// UnpackOptions say how files are written.
type UnpackOptions struct {
	// Keep gives files the ids in the stream instead of the root's.
	Keep bool
	// Warn is told of what is left out; nil drops it.
	Warn func(string)
}

// unpacker writes the files of one stream. Every name is taken from top step by
// step without following a link, so what runs in the container can at most make
// the copy fail.
type unpacker struct {
	ctx    context.Context
	target *Target
	opts   UnpackOptions
	maker  uint32 // the owner of what is made
	top    int    // the target's directory, -1 until it is made
	made   map[string]bool
	times  []dirTime
}

type dirTime struct {
	name string
	at   time.Time
}

// Unpack writes a tar stream whose top is "." to the target. Regular files appear
// whole, in the place of those of the same name; existing directories keep their
// owner and mode.
func (t *Target) Unpack(ctx context.Context, stream io.Reader, o UnpackOptions) error {
	uid, gid := uint32(unix.Geteuid()), uint32(unix.Getegid())
	if !t.root.host {
		var okUID, okGID bool
		uid, okUID = t.root.uids.toHost(0)
		gid, okGID = t.root.gids.toHost(0)
		if !okUID || !okGID {
			return errors.New("the container has no root user")
		}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	u := &unpacker{ctx: ctx, target: t, opts: o, maker: uid, top: -1, made: map[string]bool{}}
	defer u.close()
	write := func() error { return u.all(tar.NewReader(stream)) }
	if t.root.host {
		return write()
	}
	return rootfs.As(uid, gid, write)
}

func (u *unpacker) close() {
	if u.top >= 0 {
		unix.Close(u.top)
	}
}

func (u *unpacker) all(stream *tar.Reader) error {
	for {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		hdr, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return u.setTimes()
		}
		if err != nil {
			return fmt.Errorf("cannot read archive: %w", err)
		}
		name, err := entryName(hdr.Name)
		if err == nil {
			err = u.entry(stream, hdr, name)
		}
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", path.Join(u.target.label, hdr.Name), err)
		}
	}
}

// entryName is a name below the top; "." is the top itself.
func entryName(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New("the name leads out of the archive")
	}
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return ".", nil
	}
	return name, nil
}

func (u *unpacker) entry(stream io.Reader, hdr *tar.Header, name string) error {
	if hdr.Typeflag == tar.TypeDir {
		return u.directory(hdr, name)
	}
	parent, base, err := u.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	switch hdr.Typeflag {
	case tar.TypeReg:
		err = u.regular(parent, base, hdr, stream)
		u.made[name] = err == nil
		return err
	case tar.TypeSymlink:
		return u.special(parent, base, hdr, func(temporary string) error {
			return unix.Symlinkat(hdr.Linkname, parent, temporary)
		})
	case tar.TypeFifo:
		return u.special(parent, base, hdr, func(temporary string) error {
			return unix.Mknodat(parent, temporary, unix.S_IFIFO|0o600, 0)
		})
	case tar.TypeLink:
		return u.link(parent, base, hdr.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		u.opts.Warn(fmt.Sprintf("%s is a device and was not copied", hdr.Name))
	case tar.TypeXGlobalHeader:
	default:
		u.opts.Warn(fmt.Sprintf("%s is of a type unknown here and was not copied", hdr.Name))
	}
	return nil
}

// parent opens the directory in which name lies, making what is missing of it.
func (u *unpacker) parent(name string) (int, string, error) {
	if name == "." { // a single file takes the target's own place
		fd, err := unix.FcntlInt(uintptr(u.target.place.dir), unix.F_DUPFD_CLOEXEC, 0)
		return fd, u.target.place.name, err
	}
	if u.top < 0 {
		if err := u.openTop(0o755); err != nil {
			return -1, "", err
		}
	}
	dir, base := path.Split(name)
	fd, err := u.ensure(path.Clean(dir))
	return fd, base, err
}

// ensure opens a directory below the top, making what is missing.
func (u *unpacker) ensure(dir string) (int, error) {
	fd, err := rootfs.OpenBeneath(u.top, dir, unix.O_DIRECTORY)
	if !errors.Is(err, unix.ENOENT) {
		return fd, err
	}
	up, err := u.ensure(path.Dir(dir))
	if err != nil {
		return -1, err
	}
	defer unix.Close(up)
	fd, _, err = makeDirectory(up, path.Base(dir), 0o755)
	return fd, err
}

// makeDirectory opens a directory, and tells if it had to make it.
func makeDirectory(parent int, name string, mode uint32) (fd int, made bool, err error) {
	err = unix.Mkdirat(parent, name, mode)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, false, err
	}
	made = err == nil
	fd, err = rootfs.OpenBeneath(parent, name, unix.O_DIRECTORY)
	return fd, made, err
}

// openTop opens the target's own directory.
func (u *unpacker) openTop(mode uint32) (err error) {
	u.top, _, err = makeDirectory(u.target.place.dir, u.target.place.name, mode)
	return err
}

func (u *unpacker) directory(hdr *tar.Header, name string) error {
	parent, base, err := u.parent(name)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	fd, made, err := makeDirectory(parent, base, 0o700)
	if err != nil {
		return err
	}
	if name == "." && u.top < 0 {
		u.top = fd
	} else {
		defer unix.Close(fd)
	}
	if !made {
		return nil
	}
	u.times = append(u.times, dirTime{name, hdr.ModTime})
	if err := u.own(fd, hdr); err != nil {
		return err
	}
	return unix.Chmod(fdPath(fd), u.mode(hdr))
}

// regular writes a file beside its name and renames it there.
func (u *unpacker) regular(parent int, base string, hdr *tar.Header, content io.Reader) error {
	temporary := temporaryName()
	fd, err := unix.Openat(parent, temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	err = u.fill(fd, hdr, content)
	if err == nil {
		err = put(parent, temporary, base)
	}
	if err != nil {
		unix.Unlinkat(parent, temporary, 0)
	}
	return err
}

func (u *unpacker) fill(fd int, hdr *tar.Header, content io.Reader) error {
	f := newFile(fd, hdr.Name)
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := u.own(fd, hdr); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, u.mode(hdr)); err != nil {
		return err
	}
	if err := unix.Futimes(fd, []unix.Timeval{timeval(hdr.ModTime), timeval(hdr.ModTime)}); err != nil {
		return err
	}
	return f.Close() // tells of a full disk
}

// special makes a link or FIFO beside its name and renames it there.
func (u *unpacker) special(parent int, base string, hdr *tar.Header, mk func(temporary string) error) error {
	temporary := temporaryName()
	if err := mk(temporary); err != nil {
		return err
	}
	err := u.describe(parent, temporary, hdr)
	if err == nil {
		err = put(parent, temporary, base)
	}
	if err != nil {
		unix.Unlinkat(parent, temporary, 0)
	}
	return err
}

func (u *unpacker) describe(parent int, name string, hdr *tar.Header) error {
	fd, err := openPath(parent, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := u.own(fd, hdr); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeSymlink {
		return nil
	}
	return unix.Chmod(fdPath(fd), u.mode(hdr))
}

// link makes another name of a file that came with the same stream: a link to any
// other file would lend the archive that file.
func (u *unpacker) link(parent int, base, to string) error {
	to, err := entryName(to)
	if err != nil {
		return err
	}
	if !u.made[to] {
		return fmt.Errorf("it is a link to %s, which is not in the archive", to)
	}
	dir, first, err := u.parent(to)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	temporary := temporaryName()
	if err := unix.Linkat(dir, first, parent, temporary, 0); err != nil {
		return err
	}
	err = put(parent, temporary, base)
	unix.Unlinkat(parent, temporary, 0) // rename(2) of two names of one file does nothing
	return err
}

// put renames a finished file to its name.
func put(parent int, temporary, base string) error {
	if err := unmounted(parent, base); err != nil {
		return err
	}
	return unix.Renameat(parent, temporary, parent, base)
}

func temporaryName() string { return ".stack-cp-" + rand.Text() }

// setTimes gives the new directories their times, when nothing changes them any more.
func (u *unpacker) setTimes() error {
	for _, d := range slices.Backward(u.times) {
		parent, base, err := u.parent(d.name)
		if err != nil {
			return err
		}
		ts := []unix.Timespec{unix.NsecToTimespec(d.at.UnixNano()), unix.NsecToTimespec(d.at.UnixNano())}
		err = unix.UtimesNanoAt(parent, base, ts, unix.AT_SYMLINK_NOFOLLOW)
		unix.Close(parent)
		if err != nil {
			return fmt.Errorf("cannot set the time of %s: %w", d.name, err)
		}
	}
	return nil
}
