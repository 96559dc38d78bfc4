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
)

// ErrInUse is returned for an image that containers are made of.
var ErrInUse = errors.New("image is in use")

// Use is what containers need of the store.
type Use struct {
	Images []string // their images' digests
	Layers []string // directories
}

// InUse looks what of all records is in use. It is called when nobody resolves any more:
// what it told of before could be a container short.
type InUse func(all []Record) (Use, error)

// Pruned tells what was removed.
type Pruned struct {
	Untagged []string // references
	Deleted  []string // digests of images that are gone
	Layers   []string // directories
	Bytes    int64    // room on disk
}

// Remove forgets a record and, with the last one of an image, its content. An image
// in use loses its name only by force. Errors: ErrNotFound, ErrInUse.
func (s *Store) Remove(ctx context.Context, ref string, look InUse, force bool) (Pruned, error) {
	found := false
	done, err := s.removing(ctx, look, func(use Use, all []Record, rec Record) (bool, error) {
		if rec.Image.Ref != ref {
			return false, nil
		}
		found = true
		others := slices.ContainsFunc(all, func(r Record) bool { return r.Image.Digest == rec.Image.Digest && r.key() != rec.key() })
		if !others && use.has(rec) && !force {
			return false, ErrInUse
		}
		return true, nil
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return done, fmt.Errorf("cannot remove image %q: %w", Familiar(ref), err)
	}
	return done, nil
}

// Prune removes every image of which no container is made and that drop agrees to,
// every layer and blob that no image has, and what killed processes left behind.
func (s *Store) Prune(ctx context.Context, look InUse, drop func(Record) bool) (Pruned, error) {
	done, err := s.removing(ctx, look, func(use Use, _ []Record, rec Record) (bool, error) { return !use.has(rec) && drop(rec), nil })
	if err != nil {
		return done, fmt.Errorf("cannot prune images: %w", err)
	}
	return done, nil
}

// has says whether a container is made of the image, or shows all of its layers in
// another way.
func (u Use) has(rec Record) bool {
	if slices.Contains(u.Images, rec.Image.Digest) {
		return true
	}
	return len(rec.Image.Layers) > 0 &&
		!slices.ContainsFunc(rec.Image.Layers, func(dir string) bool { return !slices.Contains(u.Layers, dir) })
}

// removing forgets the records that drop chooses and then removes every layer and
// blob that neither a record nor a container needs. It waits for every pull, Resolve and
// Keep under way.
func (s *Store) removing(ctx context.Context, look InUse, drop func(use Use, all []Record, rec Record) (bool, error)) (Pruned, error) {
	var done Pruned
	lock, err := lockFile(ctx, filepath.Join(s.dir, "lock"), true)
	if err != nil {
		return done, err
	}
	defer lock.Close()
	all, err := s.List()
	if err != nil {
		return done, err
	}
	use, err := look(all)
	if err != nil {
		return done, err
	}
	var kept []Record
	for _, rec := range all {
		gone, err := drop(use, all, rec)
		if err != nil {
			return done, err
		}
		if !gone {
			kept = append(kept, rec)
			continue
		}
		if err := os.Remove(s.recordName(rec.key())); err != nil {
			return done, err
		}
		done.Untagged = append(done.Untagged, rec.Image.Ref)
	}
	done.deleted(all, kept)
	return done, s.sweep(kept, use.Layers, &done)
}

// deleted notes the images without a record left.
func (p *Pruned) deleted(all, kept []Record) {
	for _, rec := range all {
		same := func(r Record) bool { return r.Image.Digest == rec.Image.Digest }
		if !slices.ContainsFunc(kept, same) && !slices.Contains(p.Deleted, rec.Image.Digest) {
			p.Deleted = append(p.Deleted, rec.Image.Digest)
		}
	}
}

// sweep removes what neither the records nor the layers in use need. Nothing else
// runs meanwhile, so everything in tmp and partial and every lock file is garbage.
func (s *Store) sweep(recs []Record, layers []string, done *Pruned) error {
	keep := map[string]bool{}
	for _, dir := range layers {
		keep[dir] = true
	}
	for _, rec := range recs {
		for _, dir := range rec.Image.Layers {
			keep[dir] = true
		}
		if err := s.keepBlobs(rec, keep); err != nil {
			return fmt.Errorf("image %s is damaged, remove it or pull it again: %w", Familiar(rec.Image.Ref), err)
		}
	}
	for _, sub := range []string{"layers", "host", "blobs/sha256", "blobs/sha512", "partial", "tmp", "locks"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			name := filepath.Join(s.dir, sub, e.Name())
			if keep[name] {
				continue
			}
			if err := s.discard(name, done); err != nil {
				return err
			}
			if sub == "layers" || sub == "host" {
				done.Layers = append(done.Layers, name)
			}
		}
	}
	return nil
}

// keepBlobs marks the blobs of a record. An index is kept as well: its digest is
// what the registry knows the image by.
func (s *Store) keepBlobs(rec Record, keep map[string]bool) error {
	if rec.Manifest == nil {
		return nil
	}
	if rec.Target != nil {
		keep[s.blobPath(rec.Target.Digest)] = true
	}
	if err := s.keepIndex(rec, keep); err != nil {
		return err
	}
	keep[s.blobPath(rec.Manifest.Digest)] = true
	data, err := readBlob(directory(s.dir), rec.Manifest.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := parseManifest(data)
	if err != nil || m.Config == nil {
		return err
	}
	for _, d := range append(m.Layers, *m.Config) {
		if d.Digest.Validate() == nil {
			keep[s.blobPath(d.Digest)] = true
		}
	}
	return nil
}

// discard removes a part of the store by way of tmp, so that one half removed never
// looks whole.
func (s *Store) discard(name string, done *Pruned) error {
	if n, err := diskUse(name); err == nil {
		done.Bytes += n
	}
	if strings.HasPrefix(name, filepath.Join(s.dir, "tmp")+"/") {
		return removeTree(name)
	}
	away := filepath.Join(s.dir, "tmp", filepath.Base(name))
	if err := removeTree(away); err != nil {
		return err
	}
	if err := os.Rename(name, away); err != nil {
		return err
	}
	return removeTree(away)
}

// diskUse is DiskUse also for a single file.
func diskUse(name string) (int64, error) {
	st, err := os.Lstat(name)
	if err != nil || st.IsDir() {
		n, derr := DiskUse(name)
		return n, errors.Join(err, derr)
	}
	return st.Size(), nil
}
