package transfer

import (
	"bytes"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime/native/rootfs"
)

// wholeFile is up to which size a file is written by one call: who reads it in the
// container meanwhile sees the old or the new content.
const wholeFile = 4 << 20

// file brings a regular file.
func (s *syncer) file(parent int, name string, src int, st *unix.Stat_t) error {
	in, err := openFile(src, name)
	if err != nil {
		return err
	}
	defer in.Close()
	fd, err := rootfs.OpenBeneath(parent, name, 0)
	if err == nil {
		defer unix.Close(fd)
		var old unix.Stat_t
		if err := unix.Fstat(fd, &old); err != nil {
			return err
		}
		if old.Dev == st.Dev && old.Ino == st.Ino {
			return nil // the source itself, mounted there: a write would be the next change
		}
		if old.Mode&unix.S_IFMT == unix.S_IFREG {
			err = s.rewrite(fd, name, in, st, &old)
			if !errors.Is(err, unix.ETXTBSY) {
				return err
			}
			if _, err := in.Seek(0, io.SeekStart); err != nil { // a running program is not written over
				return err
			}
		}
	}
	return s.replace(parent, name, func(temporary string) error { return s.create(parent, temporary, in, st) })
}

// rewrite writes a file that is there, in place: who has it open, or watches its
// inode, goes on doing so.
func (s *syncer) rewrite(fd int, name string, in *os.File, st, old *unix.Stat_t) error {
	if s.opts.Compare && old.Size == st.Size {
		if ok, err := s.same(fd, name, in); ok || err != nil {
			return errors.Join(err, chmod(fd, st.Mode))
		}
	}
	out, err := reopen(fd, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY, name)
	if err != nil {
		return err
	}
	if err := fill(out, in, old.Size); err != nil {
		out.Close()
		return err
	}
	return s.finish(out, st)
}

// same compares contents, and leaves in at its beginning.
func (s *syncer) same(fd int, name string, in *os.File) (bool, error) {
	old, err := openFile(fd, name)
	if err != nil {
		return false, err
	}
	defer old.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(old, a)
		m, errB := io.ReadFull(in, b)
		if !bytes.Equal(a[:n], b[:m]) {
			_, err := in.Seek(0, io.SeekStart)
			return false, err
		}
		if errA != nil || errB != nil {
			return true, nil
		}
	}
}

// fill writes all of in over a file of size bytes. What is longer than the new
// content is cut off after it is written: the file is never empty on the way.
func fill(out, in *os.File, size int64) error {
	first, err := io.ReadAll(io.LimitReader(in, wholeFile))
	if err != nil {
		return err
	}
	n, err := out.Write(first)
	if err != nil {
		return err
	}
	written := int64(n)
	if written == wholeFile {
		more, err := io.Copy(out, in)
		if err != nil {
			return err
		}
		written += more
	}
	if written < size {
		return out.Truncate(written)
	}
	return nil
}

// create makes a new file.
func (s *syncer) create(parent int, name string, in *os.File, st *unix.Stat_t) error {
	fd, err := unix.Openat(parent, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := newFile(fd, name)
	err = fill(out, in, 0)
	if err == nil {
		err = s.inherit(parent, fd)
	}
	if err != nil {
		out.Close()
		return err
	}
	return s.finish(out, st)
}

// finish gives a written file its mode and time and closes it.
func (s *syncer) finish(out *os.File, st *unix.Stat_t) error {
	at := unix.NsecToTimeval(st.Mtim.Nano())
	err := errors.Join(unix.Fchmod(int(out.Fd()), st.Mode&0o777), unix.Futimes(int(out.Fd()), []unix.Timeval{at, at}))
	return errors.Join(err, out.Close()) // the last tells of a full disk
}
