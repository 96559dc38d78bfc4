package image

import (
	"context"
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

// Record is what a reference means on this machine: records/SHA256(KEY).json,
// format Version 1. KEY is the reference, with " OS/ARCH/VARIANT" behind it for an
// image of a foreign platform that was asked for.
type Record struct {
	Version int
	// Image has the complete reference. Layers are absolute. An image that lost its
	// name to a newer one is kept as REPOSITORY@DIGEST or as its Digest.
	Image Image
	// Unpacked is when the reference was last found to be this image.
	Unpacked time.Time
	// Source is the docker-archive's file as it was read.
	Source *Source `json:",omitempty"`
	// Platform is the part of KEY behind the reference.
	Platform string `json:",omitempty"`

	// Target is what the registry has under the reference, an index or a manifest.
	Target *v1.Descriptor `json:",omitempty"`
	// Manifest is this platform's. It, its configuration and its layers are in
	// blobs; without it the layers are all there is of the image.
	Manifest *v1.Descriptor `json:",omitempty"`
	// Index is what Manifest was built, loaded or pulled with, if it was more than
	// that: other platforms, or attestations. All of it is in blobs.
	Index *v1.Descriptor `json:",omitempty"`

	// What the image's configuration says beside Image.Config, for people.
	Created                   *time.Time      `json:",omitempty"`
	Author                    string          `json:",omitempty"`
	Architecture, Variant, OS string          `json:",omitempty"`
	DiffIDs                   []digest.Digest `json:",omitempty"` // the lowest first
	History                   []v1.History    `json:",omitempty"`
}

// Source tells one state of a file from another without reading it.
type Source struct {
	Size     int64
	Modified time.Time
	Inode    uint64
}

// RepoDigest is REPOSITORY@DIGEST as the registry has it, "" for an image that no
// registry is known to have.
func (rec Record) RepoDigest() string {
	r, err := parseReference(rec.Image.Ref)
	if err != nil || r.scheme != schemeRegistry || rec.Target == nil {
		return ""
	}
	return r.path + "@" + rec.Target.Digest.String()
}

// Tagged says whether the image has a name that people gave it.
func (rec Record) Tagged() bool {
	r, err := parseReference(rec.Image.Ref)
	return err == nil && (r.isPath() || r.tag != "")
}

// key is what the record is kept under.
func (rec Record) key() string {
	if rec.Platform == "" {
		return rec.Image.Ref
	}
	return rec.Image.Ref + " " + rec.Platform
}

func (s *Store) recordName(key string) string {
	return filepath.Join(s.dir, "records", digest.FromString(key).Encoded()+".json")
}

// record notes that r is rec's image.
func (s *Store) record(ctx context.Context, r reference, rec Record) error {
	rec.Image.Ref = r.String()
	if r.scheme == schemeArchive {
		src, err := sourceOf(r.path)
		if err != nil {
			return err
		}
		rec.Source = src
	}
	return s.name(ctx, rec)
}

// name writes a record under its key. An image that loses its last name by that is
// kept without one.
func (s *Store) name(ctx context.Context, rec Record) error {
	lock, err := lockFile(ctx, filepath.Join(s.dir, "locks", "records"), true)
	if err != nil {
		return err
	}
	defer lock.Close()
	if rec.Manifest != nil {
		if err := s.orphan(rec); err != nil {
			return err
		}
	}
	rec.Version, rec.Unpacked = storeVersion, time.Now().UTC()
	return s.writeJSON(s.recordName(rec.key()), rec)
}

// orphan keeps the image that had the new record's key under a name that nobody
// gave, if it has no other.
func (s *Store) orphan(rec Record) error {
	all, err := s.List()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(r Record) bool { return r.key() == rec.key() })
	if i < 0 || all[i].Image.Digest == rec.Image.Digest || all[i].Manifest == nil {
		return nil
	}
	old := all[i]
	for n, r := range all {
		if n != i && r.Image.Digest == old.Image.Digest {
			return nil
		}
	}
	if name := old.RepoDigest(); name != "" {
		old.Image.Ref = name
	} else {
		old.Image.Ref = old.Image.Digest
	}
	return s.writeJSON(s.recordName(old.key()), old)
}

// complete says whether every layer of a record is there.
func (rec Record) complete() bool {
	for _, dir := range rec.Image.Layers {
		if _, err := os.Stat(dir); err != nil {
			return false
		}
	}
	return true
}

// unchanged gives the image of an archive that is the same file as when it was
// last read, if every layer is in the store still.
func (s *Store) unchanged(r reference) (Image, bool) {
	var rec Record
	if err := readJSON(s.recordName(r.String()), &rec); err != nil || rec.Source == nil {
		return Image{}, false
	}
	src, err := sourceOf(r.path)
	if err != nil || *src != *rec.Source || !rec.complete() {
		return Image{}, false
	}
	return rec.Image, true
}

// List gives the images that are in the store, sorted by reference.
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
	slices.SortFunc(all, func(a, b Record) int { return strings.Compare(a.key(), b.key()) })
	return all, nil
}
