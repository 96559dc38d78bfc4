package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeOutput gives f standard output, or the file at path, which appears whole once f
// has succeeded. A device, a FIFO or a link that is there is written to: renaming
// something over /dev/null would take it from the whole machine.
func (a *app) writeOutput(path string, f func(io.Writer) error) error {
	if path == "" {
		return f(a.stdout)
	}
	st, err := os.Lstat(path)
	switch {
	case err == nil && !st.Mode().IsRegular():
		return writeInto(path, f)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".stack-output-")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(f(tmp), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func writeInto(path string, f func(io.Writer) error) error {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	return errors.Join(f(w), w.Close())
}
