package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Record is an image that was unpacked: records/SHA256(REF).json, format Version 1.
type Record struct {
	Version int
	// Image has the reference with a cleaned path. Layers are absolute.
	Image Image
	// Unpacked is when the reference was last found to be this image.
	Unpacked time.Time
	// Source is the docker-archive's file as it was read.
	Source *Source `json:",omitempty"`

	// What the image's configuration says beside Image.Config, for people.
	Created          *time.Time      `json:",omitempty"`
	Author           string          `json:",omitempty"`
	Architecture, OS string          `json:",omitempty"`
	DiffIDs          []digest.Digest `json:",omitempty"` // the lowest first
	History          []v1.History    `json:",omitempty"`
}

// Source tells one state of a file from another without reading it.
type Source struct {
	Size     int64
	Modified time.Time
	Inode    uint64
}

func (s *Store) recordName(ref string) string {
	return filepath.Join(s.dir, "records", digest.FromString(ref).Encoded()+".json")
}

// record notes that r is img.
func (s *Store) record(r reference, img Image, conf configFile) error {
	img.Ref = r.String()
	rec := Record{
		Version: storeVersion, Image: img, Unpacked: time.Now().UTC(), Created: conf.Created, Author: conf.Author,
		Architecture: conf.Architecture, OS: conf.OS, DiffIDs: conf.RootFS.DiffIDs, History: conf.History,
	}
	if r.scheme == schemeArchive {
		src, err := sourceOf(r.path)
		if err != nil {
			return err
		}
		rec.Source = src
	}
	return s.writeJSON(s.recordName(img.Ref), rec)
}

// unchanged gives the image of an archive that is the same file as when it was
// last read, if every layer is in the store still.
func (s *Store) unchanged(r reference) (Image, bool) {
	var rec Record
	if err := readJSON(s.recordName(r.String()), &rec); err != nil || rec.Source == nil {
		return Image{}, false
	}
	src, err := sourceOf(r.path)
	if err != nil || *src != *rec.Source {
		return Image{}, false
	}
	for _, dir := range rec.Image.Layers {
		if _, err := os.Stat(dir); err != nil {
			return Image{}, false
		}
	}
	return rec.Image, true
}

// List gives the images that are unpacked, sorted by reference.
func (s *Store) List() ([]Record, error) {
	names, err := filepath.Glob(filepath.Join(s.dir, "records", "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, name := range names {
		var rec Record
		err := readJSON(name, &rec)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list images: %w", err)
		}
		all = append(all, rec)
	}
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.Image.Ref, b.Image.Ref) })
	return all, nil
}
