package transfer

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

// wholeFile is up to which size a file is written by one call: who reads it in the
// container meanwhile sees the old or the new content.
const wholeFile = 4 << 20

// file brings a regular file, of which src is open to be read.
func (s *syncer) file(parent int, name string, src int, st *unix.Stat_t) error {
	fd, err := openPath(parent, name)
	if errors.Is(err, unix.ENOENT) {
		return s.put(parent, name, func(temporary string) error { return s.create(parent, temporary, src, st) })
	}
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
			err = s.rewrite(fd, src, st, &old)
			if !errors.Is(err, unix.ETXTBSY) { // a running program is not written over
				return err
			}
		}
	}
	return s.replace(parent, name, func(temporary string) error { return s.create(parent, temporary, src, st) })
}

// rewrite writes a file that is there, in place: who has it open, or watches its
// inode, goes on doing so.
func (s *syncer) rewrite(fd, src int, st, old *unix.Stat_t) error {
	if s.opts.Compare && old.Size == st.Size {
		if ok, err := s.same(fd, src); ok || err != nil {
			return errors.Join(err, chmod(fd, st.Mode))
		}
	}
	out, err := unix.Open(fdPath(fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := s.fill(out, src, old.Size); err != nil {
		unix.Close(out)
		return err
	}
	return finish(out, st, old.Mode)
}

// same compares contents.
func (s *syncer) same(fd, src int) (bool, error) {
	old, err := unix.Open(fdPath(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(old)
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, errA := readAt(old, a, at)
		m, errB := readAt(src, b, at)
		if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a[:n], b[:m]) {
			return false, err
		}
		if n < len(a) {
			return true, nil
		}
		at += int64(n)
	}
}

// readAt fills buf from an offset on; less at the end of the file.
func readAt(fd int, buf []byte, at int64) (int, error) {
	n := 0
	for n < len(buf) {
		m, err := unix.Pread(fd, buf[n:], at+int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// fill writes all of src over a file of size bytes. What is longer than the new
// content is cut off after it is written: the file is never empty on the way.
func (s *syncer) fill(out, src int, size int64) error {
	written := int64(0)
	for {
		n, err := s.chunk(src, written)
		if err != nil {
			return err
		}
		if err := writeAt(out, s.content[:n], written); err != nil {
			return err
		}
		written += int64(n)
		if n < len(s.content) {
			break
		}
	}
	if written < size {
		return unix.Ftruncate(out, written)
	}
	return nil
}

// chunk reads as much of src as is written at once. The buffer is made for small
// files first, since most are.
func (s *syncer) chunk(src int, at int64) (int, error) {
	if len(s.content) == 0 {
		s.content = make([]byte, 128<<10)
	}
	n, err := readAt(src, s.content, at)
	if err != nil || n < len(s.content) || len(s.content) == wholeFile {
		return n, err
	}
	more := make([]byte, wholeFile)
	copy(more, s.content)
	m, err := readAt(src, more[n:], at+int64(n))
	s.content = more
	return n + m, err
}

func writeAt(fd int, b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// create makes a new file.
func (s *syncer) create(parent int, name string, src int, st *unix.Stat_t) error {
	mode := st.Mode & 0o777
	out, err := unix.Openat(parent, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	if err != nil {
		return err
	}
	err = s.fill(out, src, 0)
	if err == nil {
		err = s.inherit(parent, out)
	}
	if err != nil {
		unix.Close(out)
		return err
	}
	return finish(out, st, mode)
}

// finish gives a written file, whose mode is mode, the source's mode and time and
// closes it.
func finish(out int, st *unix.Stat_t, mode uint32) error {
	var err error
	if mode&0o7777 != st.Mode&0o777 {
		err = unix.Fchmod(out, st.Mode&0o777)
	}
	at := unix.NsecToTimeval(st.Mtim.Nano())
	err = errors.Join(err, unix.Futimes(out, []unix.Timeval{at, at}))
	return errors.Join(err, unix.Close(out)) // the last tells of a full disk
}
