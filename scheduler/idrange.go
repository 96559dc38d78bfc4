package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// IDRange is the block of host ids that a project's user namespaces map to:
// container id n is host id Base+n, for n < Size.
type IDRange struct {
	Base, Size uint32
}

// The block that our allocations come from where /etc/subuid and /etc/subgid have
// none for us (see idPool): far above their usual 100000… and clear of systemd's
// dynamic ranges, below 2³¹.
const (
	idFirst = 0x60000000
	idLast  = 0x6fff0000
	idSize  = 65536
)

// idFile is LIB/subids.json: the base of each project's range. It is written under
// a flock on LIB/subids.lock.
type idFile struct {
	Version  int
	Projects map[string]uint32
}

// AllocateIDs returns the project's id range, choosing one on first use. It is asked
// at every start and read once: only ReleaseIDs ends the range.
func (s *Store) AllocateIDs() (IDRange, error) {
	s.ids.mu.Lock()
	defer s.ids.mu.Unlock()
	if s.ids.got.Size > 0 {
		return s.ids.got, nil
	}
	var r IDRange
	err := s.withIDs(func(f *idFile) error {
		if base, ok := f.Projects[s.Project]; ok {
			r = IDRange{Base: base, Size: idSize}
			return nil
		}
		pool, err := readIDPool()
		if err != nil {
			return err
		}
		for _, b := range f.Projects {
			pool.taken = append(pool.taken, idBlock{b, idSize})
		}
		base, ok := pool.free(idSize)
		if !ok {
			return errors.New("no user id range is free")
		}
		f.Projects[s.Project] = base
		r = IDRange{Base: base, Size: idSize}
		return nil
	})
	if err != nil {
		return IDRange{}, fmt.Errorf("cannot allocate user ids: %w", err)
	}
	s.ids.got = r
	return r, nil
}

// ReleaseIDs gives the project's range back.
func (s *Store) ReleaseIDs() error {
	s.ids.mu.Lock()
	defer s.ids.mu.Unlock()
	s.ids.got = IDRange{}
	return s.withIDs(func(f *idFile) error {
		delete(f.Projects, s.Project)
		return nil
	})
}

func (s *Store) withIDs(edit func(*idFile) error) error {
	path := filepath.Join(s.Layout.Lib, "subids.json")
	lock, err := lockFile(filepath.Join(s.Layout.Lib, "subids.lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	f := idFile{Version: 1, Projects: map[string]uint32{}}
	if err := readJSON(path, &f); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before, _ := json.Marshal(f)
	if err := edit(&f); err != nil {
		return err
	}
	if after, _ := json.Marshal(f); string(after) == string(before) {
		return nil
	}
	return writeJSON(path, f)
}

// lockFile takes an exclusive flock, released by Close.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return f, nil
}
