package log

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
)

// rotated is the path of the n-th file before the current one; 0 is current.
func rotated(path string, n int) string {
	if n == 0 {
		return path
	}
	return path + "." + strconv.Itoa(n)
}

// rotate makes sure there is a file to append more bytes to. A rotation that
// fails leaves the old file in use; it is tried again with the next write.
func (w *Writer) rotate(more int64) error {
	full := w.opt.MaxSize > 0 && w.size > 0 && w.size+more > w.opt.MaxSize
	if w.file != nil && !full {
		return nil
	}
	if w.file == nil {
		if w.path == "" {
			return fs.ErrClosed
		}
		return w.open()
	}
	if w.shift() != nil {
		return nil
	}
	w.file.Close()
	w.file, w.size, w.torn = nil, 0, false
	return w.open()
}

// shift frees the current path. Readers rely on the order: highest number
// first, so that files only move up and at most one number is missing.
func (w *Writer) shift() error {
	if w.torn {
		if _, err := w.file.Write([]byte{'\n'}); err != nil {
			return err
		}
		w.torn = false
	}
	last := w.opt.MaxFiles - 1
	if last == 0 {
		return ignoreMissing(os.Remove(w.path))
	}
	free := 1
	for ; free < last; free++ {
		if _, err := os.Lstat(rotated(w.path, free)); err != nil {
			break
		}
	}
	for n := free - 1; n >= 0; n-- {
		if err := ignoreMissing(os.Rename(rotated(w.path, n), rotated(w.path, n+1))); err != nil {
			return err
		}
	}
	return nil
}

// prune removes files that an earlier, larger MaxFiles left.
func (w *Writer) prune() {
	for n := w.opt.MaxFiles; os.Remove(rotated(w.path, n)) == nil; n++ {
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
