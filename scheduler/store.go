package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"stack/runtime/quota"
	"stack/spec"
)

// Store keeps what must outlive the controller. Every file is written whole to a
// temporary name and renamed, so a reader (ps, logs, another controller) sees the
// old or the new one.
type Store struct {
	Layout  Layout
	Project string
	// IDMap tries whether the mount that a path lies on can be id-mapped; nil takes
	// every one for able.
	IDMap func(path string) error

	ids struct { // see AllocateIDs
		mu  sync.Mutex
		got IDRange
	}
}

// wishFile is wish.json.
type wishFile struct {
	Version int
	Spec    []byte
	Wish
}

const wishVersion = 1

// Init makes the project's directories, all 0700.
func (s *Store) Init() error {
	for _, d := range []string{s.RunDir(), s.Containers(), s.instances(), s.logs(), filepath.Join(s.dir(), "layers")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("cannot make state directory: %w", err)
		}
	}
	return nil
}

// SaveWish records w.
func (s *Store) SaveWish(w Wish) error {
	f := wishFile{Version: wishVersion, Wish: w}
	if w.Stack != nil {
		b, err := spec.Encode(w.Stack)
		if err != nil {
			return err
		}
		f.Spec = b
	}
	return writeJSON(s.wish(), f)
}

// LoadWish returns the recorded wish; the zero Wish when there is none.
func (s *Store) LoadWish() (Wish, error) {
	var f wishFile
	if err := readJSON(s.wish(), &f); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Wish{Services: map[string]ServiceWish{}}, nil
		}
		return Wish{}, err
	}
	if err := sameFormat(s.wish(), f.Version, wishVersion); err != nil {
		return Wish{}, err
	}
	w := f.Wish
	if w.Services == nil {
		w.Services = map[string]ServiceWish{}
	}
	if len(f.Spec) > 0 {
		st, err := spec.Decode(f.Spec)
		if err != nil {
			return Wish{}, fmt.Errorf("cannot read the recorded stack: %w", err)
		}
		w.Stack = st
	}
	return w, nil
}

// CheckFormat sees that this program can read the project's record, before anything
// is made: a command and its controller are of one release, the record perhaps not.
func (s *Store) CheckFormat() error {
	var f struct{ Version int }
	err := readJSON(s.wish(), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return sameFormat(s.wish(), f.Version, wishVersion)
}

func sameFormat(path string, have, want int) error {
	if have == want {
		return nil
	}
	return fmt.Errorf("%s has format %d, this stack reads %d: use the release that wrote it, or remove the project's state", path, have, want)
}

// SaveInstance records i.
func (s *Store) SaveInstance(i *Instance) error {
	i.Version = InstanceVersion
	return writeJSON(s.record(i.ID), i)
}

// DeleteFiles removes the files of an instance: writable layer, state, log.
// DeleteRecord follows: what is left after a crash is found by the record.
func (s *Store) DeleteFiles(id string) error {
	errs := []error{quota.Release(s.LayerDir(id))}
	for _, p := range []string{s.LayerDir(id), s.InstanceDir(id)} {
		errs = append(errs, os.RemoveAll(p))
	}
	logs, _ := filepath.Glob(s.LogPath(id) + "*")
	for _, p := range logs {
		errs = append(errs, os.RemoveAll(p))
	}
	return errors.Join(errs...)
}

// DeleteRecord forgets an instance whose files are gone.
func (s *Store) DeleteRecord(id string) error { return os.RemoveAll(s.record(id)) }

func (s *Store) record(id string) string { return filepath.Join(s.instances(), id+".json") }

// Instances returns every recorded instance, sorted by name.
func (s *Store) Instances() ([]*Instance, error) {
	entries, err := os.ReadDir(s.instances())
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	var out []*Instance
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		i := new(Instance)
		switch err := readJSON(filepath.Join(s.instances(), e.Name()), i); {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			continue
		case err != nil:
			return nil, err
		}
		if err := sameFormat(filepath.Join(s.instances(), e.Name()), i.Version, InstanceVersion); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b *Instance) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Exists reports whether anything of the project is recorded.
func (s *Store) Exists() bool {
	_, err := os.Stat(s.dir())
	return err == nil
}

// RemoveProject deletes everything recorded of the project but its volumes and
// networks. The run directory goes with the shim, which still uses it.
func (s *Store) RemoveProject() error { return os.RemoveAll(s.dir()) }

// Projects lists the recorded projects of a layout, sorted.
func (l Layout) Projects() ([]string, error) {
	entries, err := os.ReadDir(l.projects())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// writeJSON replaces path by v's JSON in one step.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, b)
}

func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // 0600
	if err != nil {
		return fmt.Errorf("cannot record state: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("cannot record state: %w", err)
	}
	return nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return nil
}
