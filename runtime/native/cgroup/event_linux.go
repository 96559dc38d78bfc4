package cgroup

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// eventFile is a control file of version 2 whose changes the kernel tells to
// poll(2). It spares an inotify instance, of which all of root's processes have
// 128 together.
type eventFile struct {
	file *os.File
	buf  [4096]byte
}

// openEvents opens such a file for Go's poller.
func openEvents(path string) (*eventFile, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &eventFile{file: os.NewFile(uintptr(fd), path)}, nil
}

// await returns when done does, which sees the content now and after each
// change. The file's deadline and its closing end it with an error.
func (e *eventFile) await(done func(text string) bool) error {
	conn, err := e.file.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = conn.Read(func(fd uintptr) bool {
		n, err := retry(func() (int, error) { return unix.Pread(int(fd), e.buf[:], 0) })
		if err != nil {
			failure = err
			return true
		}
		return done(string(e.buf[:n]))
	})
	return errors.Join(err, failure)
}

// awaitEvent waits until key has a value in dir's cgroup.events. A group that
// vanishes has no processes left: that counts as populated 0.
func awaitEvent(dir, key string, value uint64, limit time.Duration) error {
	e, err := openEvents(dir + "/cgroup.events")
	if err != nil {
		return notFound(err)
	}
	defer e.file.Close()
	if err := e.file.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	err = e.await(func(text string) bool {
		return strings.Contains(text, key+" ") && keyValue(text, key) == value
	})
	if gone(err) {
		return ErrNotFound
	}
	return err
}
