package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// ErrAmbiguous is returned for the beginning of a digest that fits several images.
var ErrAmbiguous = errors.New("several images match")

// Find chooses a record by reference, digest, or the beginning of a digest.
// Errors: ErrNotFound, ErrAmbiguous.
func Find(all []Record, name string) (Record, error) {
	if r, err := parseReference(name); err == nil {
		if rec, ok := lookup(all, r, "", machine()); ok {
			return rec, nil
		}
		for _, rec := range all { // of another platform
			if rec.Image.Ref == r.String() {
				return rec, nil
			}
		}
	}
	var match []Record
	for _, rec := range all {
		d := rec.Image.Digest
		if d == name {
			return rec, nil
		}
		_, hex, _ := strings.Cut(d, ":")
		if name != "" && (strings.HasPrefix(hex, name) || strings.HasPrefix(d, name) && len(name) > len("sha256:")) {
			match = append(match, rec)
		}
	}
	switch {
	case len(match) == 0:
		return Record{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	case slices.ContainsFunc(match, func(rec Record) bool { return rec.Image.Digest != match[0].Image.Digest }):
		return Record{}, fmt.Errorf("%w %s", ErrAmbiguous, name)
	}
	return match[0], nil
}

// SplitReference gives the two parts of a reference that people see in tables:
// "oci:/srv/app" and "v1", "nginx" and "1.27". The tag is empty where there is none.
func SplitReference(ref string) (repository, tag string) {
	r, err := parseReference(ref)
	switch {
	case err == nil && r.isPath():
		return r.scheme + ":" + r.path, r.tag
	case err == nil && r.scheme == schemeID:
		return "<none>", ""
	}
	ref = Familiar(ref)
	if name, _, ok := strings.Cut(ref, "@"); ok {
		return name, ""
	}
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}

// Owns says whether a layer directory is the store's, not a directory of the
// machine that an image shows (rootfs:PATH).
func (s *Store) Owns(layer string) bool { return strings.HasPrefix(layer, s.dir+"/") }

// Size is the room on disk of the image's layers in the store, each file counted
// once. Layers that other images share are counted in full.
func (s *Store) Size(img Image) (int64, error) {
	var total int64
	for _, dir := range img.Layers {
		if !s.Owns(dir) {
			continue
		}
		n, err := DiskUse(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("cannot measure layer: %w", err)
		}
		total += n
	}
	return total, nil
}

// DiskUse is the room that the files below dir take. Files that vanish meanwhile
// don't count; no link is followed.
func DiskUse(dir string) (int64, error) {
	var total int64
	seen := map[uint64]bool{} // files with several names
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && path != dir {
				return nil
			}
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return nil
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || d.IsDir() || st.Nlink > 1 && seen[st.Ino] {
			return nil
		}
		seen[st.Ino] = st.Nlink > 1
		total += st.Blocks * 512
		return nil
	})
	return total, err
}

// FindFor gives the record that Resolve would answer from.
func FindFor(all []Record, ref, platform string) (Record, bool) {
	r, err := parseReference(ref)
	if err != nil {
		return Record{}, false
	}
	p, err := parsePlatform(platform)
	if err != nil {
		return Record{}, false
	}
	return lookup(all, r, platform, p)
}
