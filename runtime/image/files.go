package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"
)

// maxJSON bounds an index, a manifest and a configuration.
const maxJSON = 8 << 20

// files is a tree of files with slash-separated names: a directory or an archive.
type files interface {
	// open gives the content of a regular file; fs.ErrNotExist for none.
	open(name string) (io.ReadCloser, error)
}

// directory is the files below a directory. Its owner may link blobs together;
// nothing is believed without its digest.
type directory string

func (d directory) open(name string) (io.ReadCloser, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("the name %q leads elsewhere", name)
	}
	// Non-blocking: the name may be a FIFO's.
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// readSmall gives the content of one of the JSON files.
func readSmall(from files, name string) ([]byte, error) {
	f, err := from.open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(data) > maxJSON {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxJSON)
	}
	return data, nil
}

// readBlob gives the content of a small blob and checks its digest.
func readBlob(from files, d digest.Digest) ([]byte, error) {
	name, err := blobName(d)
	if err != nil {
		return nil, err
	}
	data, err := readSmall(from, name)
	if err != nil {
		return nil, err
	}
	if got := d.Algorithm().FromBytes(data); got != d {
		return nil, fmt.Errorf("blob %s has the digest %s", d, got)
	}
	return data, nil
}

func blobName(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("bad digest %q: %w", d, err)
	}
	return "blobs/" + d.Algorithm().String() + "/" + d.Encoded(), nil
}

func exists(from files, name string) (bool, error) {
	f, err := from.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}
