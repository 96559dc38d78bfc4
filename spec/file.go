package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFile bounds a stack file: a larger one is an accident or an attack.
const maxFile = 16 << 20

// stdin is the path that means standard input.
const stdin = "-"

// file is a stack file as it was read.
type file struct {
	path string // absolute, or "-"
	name string // as shown
	text []byte
	rows []string // lazily: text by lines

	parsed bool
	docs   []*yaml.Node
	err    error
}

// nodes parses the file once; with an error come the documents before it.
func (f *file) nodes() ([]*yaml.Node, error) {
	if f.parsed {
		return f.docs, f.err
	}
	f.parsed = true
	dec := yaml.NewDecoder(bytes.NewReader(f.text))
	for {
		var doc yaml.Node
		err := guard("parse", func() error { return dec.Decode(&doc) })
		if errors.Is(err, io.EOF) {
			return f.docs, nil
		}
		if err != nil {
			f.err = err
			return f.docs, err
		}
		f.docs = append(f.docs, &doc)
	}
}

// guard turns a panic in a library that reads untrusted text into an error.
func guard(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot %s: internal error: %v", what, p)
		}
	}()
	return f()
}

// line returns line n, counted from 1, or "".
func (f *file) line(n int) string {
	if f.rows == nil {
		for row := range bytes.Lines(f.text) {
			f.rows = append(f.rows, strings.TrimRight(string(row), "\r\n"))
		}
	}
	if n < 1 || n > len(f.rows) {
		return ""
	}
	return f.rows[n-1]
}

// readFile reads a stack file, or standard input for "-".
func readFile(path string, in io.Reader) ([]byte, error) {
	if path == stdin {
		return readLimited(in)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read stack file: %w", cause(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("cannot read stack file: it is a directory")
	}
	return readLimited(f)
}

func readLimited(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read stack file: %w", cause(err))
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("cannot read stack file: it is larger than %d MB", maxFile>>20)
	}
	return text, nil
}

// cause strips the path from a file error: the diagnostic names it already.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// shown is path as people typed it: relative where it lies below the current
// directory.
func shown(path string) string {
	if path == stdin {
		return "<stdin>"
	}
	cwd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(cwd, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return path
	}
	return rel
}

// readable says why a file that a stack file names cannot be read: a device or a
// pipe would block or never end.
func readable(path string) error {
	info, err := os.Stat(path)
	switch {
	case path == os.DevNull: // the customary way to say "none"
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("not found")
	case err != nil:
		return cause(err)
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file")
	case info.Size() > maxFile:
		return fmt.Errorf("is larger than %d MB", maxFile>>20)
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
