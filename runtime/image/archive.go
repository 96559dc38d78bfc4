package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxArchiveFiles bounds the files of a `docker save` archive.
const maxArchiveFiles = 100_000

// archive is a tar archive whose files are read where they lie.
type archive struct {
	file   io.ReaderAt
	places map[string]extent
	links  map[string]string
	closer io.Closer
}

func (a *archive) Close() error { return a.closer.Close() }

type extent struct{ at, size int64 }

func (s *Store) resolveArchive(ctx context.Context, r reference) (Image, error) {
	if img, ok := s.unchanged(r); ok {
		return img, nil
	}
	a, err := s.openArchive(ctx, r.path)
	if err != nil {
		return Image{}, err
	}
	defer a.Close()
	c, err := readArchive(a, r.tag)
	if err != nil {
		return Image{}, err
	}
	return s.ingest(ctx, r, c)
}

// seekable gives the archive without compression; a copy, gone once closed, if it
// has any or f is no file.
func (s *Store) seekable(ctx context.Context, f *os.File) (*os.File, error) {
	plain, kind, err := decompress(f)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	if st, err := f.Stat(); err == nil && kind == "" && st.Mode().IsRegular() {
		_, err := f.Seek(0, io.SeekStart)
		return f, err
	}
	return s.spool(ctx, plain)
}

// indexArchive notes where each file lies. The tar reader asks f for a file's
// content only when read, and seeks over it otherwise.
func indexArchive(ctx context.Context, f *os.File) (*archive, error) {
	a := &archive{file: f, places: map[string]extent{}, links: map[string]string{}}
	r := tar.NewReader(f)
	for count := 0; ; count++ {
		h, err := r.Next()
		if err == io.EOF {
			return a, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read archive: %w", err)
		}
		if count > maxArchiveFiles {
			return nil, fmt.Errorf("%w: the archive has more than %d files", ErrHostile, maxArchiveFiles)
		}
		if err := a.note(h, f); err != nil {
			return nil, err
		}
	}
}

func (a *archive) note(h *tar.Header, f *os.File) error {
	name := path.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
		if isSparse(h) {
			return fmt.Errorf("the archive has the sparse file %s", name)
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		a.places[name] = extent{at: at, size: h.Size}
	case tar.TypeSymlink: // old `docker save` links equal layers
		a.links[name] = path.Join(path.Dir(name), h.Linkname)
	case tar.TypeLink:
		a.links[name] = path.Clean(h.Linkname)
	}
	return nil
}

func (a *archive) open(name string) (io.ReadCloser, error) {
	name = path.Clean(name)
	for range maxLinks {
		if e, ok := a.places[name]; ok {
			return io.NopCloser(io.NewSectionReader(a.file, e.at, e.size)), nil
		}
		next, ok := a.links[name]
		if !ok {
			return nil, fmt.Errorf("the archive has no %s: %w", name, fs.ErrNotExist)
		}
		name = next
	}
	return nil, fmt.Errorf("links of the archive go round in circles at %s", name)
}

// savedImage is an entry of manifest.json, which `docker save` writes beside an
// OCI layout, or alone before Docker 25.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func readArchive(a files, tag string) (contents, error) {
	old, err := exists(a, "manifest.json")
	if err != nil {
		return contents{}, err
	}
	if !old {
		return readLayout(a, tag)
	}
	data, err := readSmall(a, "manifest.json")
	if err != nil {
		return contents{}, err
	}
	var all []savedImage
	if err := json.Unmarshal(data, &all); err != nil {
		return contents{}, fmt.Errorf("cannot read manifest.json: %w", err)
	}
	saved, err := chooseSaved(all, tag)
	if err != nil {
		return contents{}, err
	}
	return readSaved(a, saved)
}

// chooseSaved finds the image with the name tag, which may leave out ":latest" or
// everything before the colon.
func chooseSaved(all []savedImage, tag string) (savedImage, error) {
	if tag == "" && len(all) == 1 {
		return all[0], nil
	}
	var names []string
	var loose []savedImage
	for _, s := range all {
		for _, name := range s.RepoTags {
			if tag != "" && (name == tag || name == tag+":latest") {
				return s, nil
			}
			names = append(names, name)
		}
		if tag != "" && hasTag(s.RepoTags, tag) {
			loose = append(loose, s)
		}
	}
	switch {
	case len(loose) == 1:
		return loose[0], nil
	case len(loose) > 1:
		return savedImage{}, fmt.Errorf("%w: several images have the tag %q, say which one: %s", ErrNotFound, tag, strings.Join(names, ", "))
	case tag == "":
		return savedImage{}, fmt.Errorf("%w: there are %d images, say which one: %s", ErrNotFound, len(all), strings.Join(names, ", "))
	}
	return savedImage{}, fmt.Errorf("%w: nothing is called %q, there is: %s", ErrNotFound, tag, strings.Join(names, ", "))
}

func hasTag(names []string, tag string) bool {
	for _, name := range names {
		if strings.HasSuffix(name, ":"+tag) {
			return true
		}
	}
	return false
}

func readSaved(a files, saved savedImage) (contents, error) {
	data, err := readSmall(a, saved.Config)
	if err != nil {
		return contents{}, err
	}
	// The configuration is named after its digest.
	name := strings.TrimSuffix(path.Base(saved.Config), ".json")
	if want := digest.NewDigestFromEncoded(digest.SHA256, name); want.Validate() == nil && digest.FromBytes(data) != want {
		return contents{}, errors.New("the image configuration does not match its digest")
	}
	c := contents{config: data}
	for _, name := range saved.Layers {
		c.layers = append(c.layers, blob{name: name, files: a})
	}
	return c, nil
}
