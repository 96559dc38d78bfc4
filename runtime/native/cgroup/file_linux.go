package cgroup

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// writeFile writes one value with one write(2) to a file that exists. It spares
// the creation flags, truncation and poller registration of os.WriteFile.
func writeFile(path, value string) error {
	return writeLines(path, []string{value})
}

// writeLines writes each value with a write(2) of its own, as control files want.
func writeLines(path string, values []string) error {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for _, v := range values {
		if _, err := retry(func() (int, error) { return unix.Write(fd, []byte(v)) }); err != nil {
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
	}
	return nil
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// gone tells whether an error means that the file or its group does not exist.
// Reading an open file of a removed group is ENODEV.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV)
}

func exists(path string) bool {
	return unix.Access(path, unix.F_OK) == nil
}

// readValue reads a whole control file without the white space around it.
func readValue(path string) (string, error) {
	text, err := readText(path)
	return strings.TrimSpace(text), err
}

// readText is os.ReadFile without the poller, with which os registers control
// files because they can be polled: four system calls instead of nine.
func readText(path string) (string, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	text := make([]byte, 0, 1024)
	for {
		n, err := retry(func() (int, error) { return unix.Read(fd, text[len(text):cap(text)]) })
		if err != nil {
			return "", &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return string(text), nil
		}
		text = text[:len(text)+n]
		if len(text) == cap(text) {
			text = slices.Grow(text, cap(text))
		}
	}
}

// readLimit reads a number where version 2 writes "max", and version 1 a number
// near the largest, for "no limit": both are -1 here. So is an absent file.
func readLimit(path string) (int64, error) {
	v, err := readValue(path)
	if errors.Is(err, fs.ErrNotExist) || v == "max" {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if n >= math.MaxInt64&^0xffff { // PAGE_COUNTER_MAX, whatever the page size
		return -1, err
	}
	return n, err
}

// keyValue finds a key in lines of "key value"; zero when it is absent.
func keyValue(text, key string) uint64 {
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k == key {
			n, _ := strconv.ParseUint(v, 10, 64)
			return n
		}
	}
	return 0
}

// subgroups lists the directories below dir. A directory's link count spares the
// reading: a group has one link more for each child.
func subgroups(dir string) ([]string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if st.Nlink == 2 {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var subs []string
	for _, e := range entries {
		if e.IsDir() {
			subs = append(subs, filepath.Join(dir, e.Name()))
		}
	}
	return subs, nil
}

// walk visits dir and every group below it. Groups that vanish meanwhile are
// left out.
func walk(dir string, visit func(dir string) error) error {
	if err := visit(dir); err != nil {
		if gone(err) {
			return nil
		}
		return err
	}
	subs, err := subgroups(dir)
	if err != nil && !gone(err) {
		return err
	}
	for _, s := range subs {
		if err := walk(s, visit); err != nil {
			return err
		}
	}
	return nil
}

// backoff waits ever longer between attempts at something that the kernel
// finishes by itself and reports to nobody.
type backoff struct {
	next     time.Duration
	deadline time.Time
}

func newBackoff(limit time.Duration) *backoff {
	return &backoff{next: 50 * time.Microsecond, deadline: time.Now().Add(limit)}
}

// wait is false when the time is over.
func (b *backoff) wait() bool {
	if time.Now().After(b.deadline) {
		return false
	}
	time.Sleep(b.next)
	b.next = min(2*b.next, 10*time.Millisecond)
	return true
}
