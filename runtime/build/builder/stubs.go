package builder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/snapshot"
)

// stubs are the mount points that the runtime makes in a root file system which
// lacks them. They are no part of what the step made, and neither is the new time of
// the directory that they are made in.
type stubs struct {
	names []string // mount points

	missing []string             // paths below the root, the deepest first
	around  map[string]time.Time // the directories that get them
	after   map[string]time.Time // the same once the mount points are there
}

// note sees what is missing, in the root file system before the step.
func (s *stubs) note(root string) error {
	s.around, s.after = map[string]time.Time{}, map[string]time.Time{}
	for _, name := range s.names {
		real, err := fs.RootPath(root, name)
		if err != nil {
			return fmt.Errorf("cannot resolve the mount point %q: %w", name, err)
		}
		for real != root {
			st, err := os.Lstat(real)
			if err == nil {
				if s.around[s.below(root, real)] = st.ModTime(); !st.IsDir() {
					delete(s.around, s.below(root, real))
				}
				break
			}
			if rel := s.below(root, real); !slices.Contains(s.missing, rel) {
				s.missing = append(s.missing, rel)
			}
			real = filepath.Dir(real)
		}
		if st, err := os.Lstat(root); err == nil && real == root {
			s.around["."] = st.ModTime()
		}
	}
	slices.SortFunc(s.missing, func(a, b string) int { return strings.Compare(b, a) })
	return nil
}

func (s *stubs) below(root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return "."
	}
	return rel
}

// made sees the times that the directories have once the mount points are there,
// in the directory that is written to.
func (s *stubs) made(written string) {
	for dir := range s.around {
		if st, err := os.Lstat(filepath.Join(written, dir)); err == nil {
			s.after[dir] = st.ModTime()
		}
	}
}

// remove takes the mount points away, in the root file system after the step, unless
// something was put there.
func (s *stubs) remove(root string) error {
	times := map[string]time.Time{}
	for dir, before := range s.around {
		st, err := os.Lstat(filepath.Join(root, dir))
		if err != nil || !st.IsDir() {
			continue
		}
		if times[dir] = st.ModTime(); st.ModTime().Equal(s.after[dir]) {
			times[dir] = before
		}
	}
	for _, rel := range s.missing {
		name := filepath.Join(root, rel)
		st, err := os.Lstat(name)
		if err != nil || !st.IsDir() && (!st.Mode().IsRegular() || st.Size() > 0) {
			continue
		}
		if real, err := fs.RootPath(root, filepath.Dir(rel)); err != nil || real != filepath.Dir(name) {
			continue // a link, now
		}
		os.Remove(name) // a directory only if it is empty
	}
	var errs []error
	for dir, at := range times {
		name := filepath.Join(root, dir)
		if st, err := os.Lstat(name); err == nil && st.IsDir() && !st.ModTime().Equal(at) {
			errs = append(errs, os.Chtimes(name, time.Time{}, at))
		}
	}
	return errors.Join(errs...)
}

// mounted gives f the root file system on the builder's side: in its own mount
// namespace, and while no container has it.
func mounted(m executor.MountableRef, f func(root string) error) error {
	mounter := snapshot.LocalMounter(m)
	root, err := mounter.Mount()
	if err != nil {
		return fmt.Errorf("cannot mount the root file system: %w", err)
	}
	return errors.Join(f(root), mounter.Unmount())
}
