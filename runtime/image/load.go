package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Load brings all images of what `docker save` or Save writes, or of an OCI layout
// (an archive or a directory), into the store, under the names that they have there.
// One without a name is kept under its digest.
func (s *Store) Load(ctx context.Context, from *os.File) ([]Record, error) {
	recs, err := s.load(ctx, from)
	if err != nil {
		return recs, fmt.Errorf("cannot load images: %w", err)
	}
	return recs, nil
}

func (s *Store) load(ctx context.Context, from *os.File) ([]Record, error) {
	shared, err := s.share(ctx)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	st, err := from.Stat()
	if err != nil {
		return nil, err
	}
	var tree files = directory(from.Name())
	if !st.IsDir() {
		a, err := s.readThrough(ctx, from)
		if err != nil {
			return nil, err
		}
		defer a.Close()
		tree = a
	}
	found, err := findImages(tree)
	if err != nil {
		return nil, err
	}
	var recs []Record
	for _, f := range found {
		rec, err := s.add(ctx, f.contents)
		if err != nil {
			return recs, err
		}
		if len(f.names) == 0 {
			f.names = []string{rec.Image.Digest}
		}
		for _, name := range f.names {
			r, err := archivedName(name, rec)
			if err != nil {
				return recs, err
			}
			if err := s.record(ctx, r, rec); err != nil {
				return recs, err
			}
			rec.Image.Ref = r.String()
			recs = append(recs, rec)
		}
	}
	return recs, nil
}

// archivedName reads a name that an archive gives an image. It may neither claim a
// registry's digest nor stand for something else of this machine.
func archivedName(name string, rec Record) (reference, error) {
	r, err := parseReference(name)
	if err != nil {
		return r, err
	}
	if r.scheme == schemeRegistry && r.digest == "" || r.String() == rec.Image.Digest {
		return r, nil
	}
	return r, fmt.Errorf("%w: the archive calls an image %q", ErrHostile, name)
}

// openArchive reads what is in an archive.
func (s *Store) openArchive(ctx context.Context, name string) (*archive, error) {
	f, err := directory(filepath.Dir(name)).open(filepath.Base(name))
	if err != nil {
		return nil, err
	}
	a, err := s.readThrough(ctx, f.(*os.File))
	if err != nil || a.closer != f {
		f.Close()
	}
	return a, err
}

// readThrough lists an archive's files. What cannot be read twice, a pipe or
// something compressed, is copied first.
func (s *Store) readThrough(ctx context.Context, f *os.File) (*archive, error) {
	plain, err := s.seekable(ctx, f)
	if err != nil {
		return nil, err
	}
	a, err := indexArchive(ctx, plain)
	if err != nil {
		plain.Close()
		return nil, err
	}
	a.closer = plain
	return a, nil
}

// foundImage is an image of an archive or a layout.
type foundImage struct {
	contents
	names []string
}

// findImages lists the images of an archive or a layout. Docker's manifest.json
// has the names; the index beside it, where there is one, the original manifests.
func findImages(from files) ([]foundImage, error) {
	inIndex, err := indexImages(from)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	old, xerr := exists(from, "manifest.json")
	if xerr != nil {
		return nil, xerr
	}
	if !old {
		return inIndex, err
	}
	data, err := readSmall(from, "manifest.json")
	if err != nil {
		return nil, err
	}
	var all []savedImage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("cannot read manifest.json: %w", err)
	}
	var found []foundImage
	for _, saved := range all {
		c, err := readSaved(from, saved)
		if err != nil {
			return nil, err
		}
		for _, f := range inIndex {
			if digest.FromBytes(f.config) == digest.FromBytes(c.config) {
				c = f.contents
			}
		}
		found = append(found, foundImage{c, saved.RepoTags})
	}
	return found, nil
}

// indexImages lists the images of an OCI layout, each for this machine.
func indexImages(from files) ([]foundImage, error) {
	data, err := readSmall(from, v1.ImageIndexFile)
	if err != nil {
		return nil, err
	}
	index, err := parseManifest(data)
	if err != nil {
		return nil, err
	}
	var found []foundImage
	for _, d := range index.Manifests {
		m, err := chooseManifest(from, []v1.Descriptor{d}, machine())
		if errors.Is(err, ErrNotFound) && len(index.Manifests) > 1 {
			continue // of another platform
		}
		if err != nil {
			return nil, err
		}
		c, err := readManifest(from, m)
		if err == nil {
			c.index, err = indexOf(from, d)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, foundImage{c, annotatedNames(d)})
	}
	return found, nil
}

// annotatedNames are the complete names that a layout gives an image. A bare tag is
// none.
func annotatedNames(d v1.Descriptor) []string {
	if name := d.Annotations["io.containerd.image.name"]; IsRegistry(name) && name != "" {
		return []string{name}
	}
	name := d.Annotations[v1.AnnotationRefName]
	if strings.ContainsAny(name, ":/") && IsRegistry(name) {
		return []string{name}
	}
	return nil
}

// spool copies a stream into a file that is gone once closed.
func (s *Store) spool(ctx context.Context, r io.Reader) (*os.File, error) {
	tmp, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "archive-")
	if err != nil {
		return nil, err
	}
	os.Remove(tmp.Name())
	_, err = io.Copy(tmp, &bounded{ctx: ctx, r: r, left: s.Limits.Bytes})
	if err == nil {
		_, err = tmp.Seek(0, io.SeekStart)
	}
	if err != nil {
		tmp.Close()
		return nil, fmt.Errorf("cannot read archive: %w", err)
	}
	return tmp, nil
}
