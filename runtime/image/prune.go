package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrInUse is returned for an image that containers are made of.
var ErrInUse = errors.New("image is in use")

// Pruned tells what was removed.
type Pruned struct {
	Images []string // references
	Layers []string // directories
}

// Remove forgets the image that ref was unpacked to and removes the layers that no
// other image has. inUse are the layer directories of all containers.
// Errors: ErrNotFound, ErrInUse.
func (s *Store) Remove(ctx context.Context, ref string, inUse []string) (Pruned, error) {
	done, err := s.removing(ctx, inUse, func(rec Record, used bool) (bool, error) {
		if rec.Image.Ref != ref {
			return false, nil
		}
		if used {
			return false, ErrInUse
		}
		return true, nil
	})
	if err == nil && len(done.Images) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return done, fmt.Errorf("cannot remove image %q: %w", ref, err)
	}
	return done, nil
}

// Prune removes every image and layer of which nothing is in use, and what killed
// processes left behind. inUse are the layer directories of all containers.
func (s *Store) Prune(ctx context.Context, inUse []string) (Pruned, error) {
	done, err := s.removing(ctx, inUse, func(_ Record, used bool) (bool, error) { return !used, nil })
	if err != nil {
		return done, fmt.Errorf("cannot prune images: %w", err)
	}
	return done, nil
}

// removing forgets the records that drop chooses and then removes every layer
// without a record or a container. It waits for every Resolve under way.
func (s *Store) removing(ctx context.Context, inUse []string, drop func(rec Record, used bool) (bool, error)) (Pruned, error) {
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
	keep := slices.Clone(inUse)
	for _, rec := range all {
		gone, err := drop(rec, isUsed(rec.Image.Layers, inUse))
		if err != nil {
			return done, err
		}
		if !gone {
			keep = append(keep, rec.Image.Layers...)
			continue
		}
		if err := os.Remove(s.recordName(rec.Image.Ref)); err != nil {
			return done, err
		}
		done.Images = append(done.Images, rec.Image.Ref)
	}
	done.Layers, err = s.sweep(keep)
	return done, err
}

// isUsed says whether a container shows all of the layers.
func isUsed(layers, inUse []string) bool {
	for _, dir := range layers {
		if !slices.Contains(inUse, dir) {
			return false
		}
	}
	return len(layers) > 0
}

// sweep removes the directories that are not in keep. Nothing else runs meanwhile,
// so everything in tmp and every lock file is garbage.
func (s *Store) sweep(keep []string) ([]string, error) {
	var gone []string
	for _, sub := range []string{"layers", "host", "tmp", "locks"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, sub))
		if err != nil {
			return gone, err
		}
		for _, e := range entries {
			dir := filepath.Join(s.dir, sub, e.Name())
			if slices.Contains(keep, dir) {
				continue
			}
			if err := s.discard(dir); err != nil {
				return gone, err
			}
			if sub == "layers" || sub == "host" {
				gone = append(gone, dir)
			}
		}
	}
	return gone, nil
}

// discard removes a directory of the store by way of tmp, so that one half removed
// never looks whole.
func (s *Store) discard(dir string) error {
	away := filepath.Join(s.dir, "tmp", filepath.Base(dir))
	if strings.HasPrefix(dir, filepath.Join(s.dir, "tmp")+"/") {
		return removeTree(dir)
	}
	if err := removeTree(away); err != nil {
		return err
	}
	if err := os.Rename(dir, away); err != nil {
		return err
	}
	return removeTree(away)
}
