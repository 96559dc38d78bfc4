package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

var (
	// ErrNotFound says that no network has the name or ID.
	ErrNotFound = errors.New("no such network")
	// ErrInUse says that containers are still attached to a network.
	ErrInUse = errors.New("network is in use")
)

// store is Options.State:
//
//	lock               flock: making and removing networks, machine.json
//	machine.json       what stack changed on the machine, see machine
//	ID/network.json    see record
//	ID/leases.json     see leaseFile
//	ID/services.json   see serviceFile
//	ID/*.sock          who wants to be told of changes, see watch
//	ID/lock            flock: changing the files
//	ID/shape           flock: changing the network's shapers
//
// Files are replaced by renaming, so readers need no lock. A crash of a process
// leaves the old file or the new one; after a power failure the links are gone
// too, so nothing is synced.
type store struct {
	dir     string
	mu      sync.Mutex
	entries map[string]*entry
	self    string // name of the project's own sockets
}

func newStore(dir string) *store { return &store{dir: dir, entries: make(map[string]*entry)} }

// lock takes the machine-wide lock; it is held for milliseconds. It is two: the
// state directory's, and one of the network namespace, for projects with another
// state directory (STACK_ROOT) choose subnets among the same routes.
func (s *store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make network state: %w", err)
	}
	f, err := flock(filepath.Join(s.dir, "lock"))
	if err != nil {
		return nil, err
	}
	ns, err := lockNamespace()
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { ns.Close(); f.Close() }, nil
}

// namespaceFile is a setting that each network namespace has as one inode, and that
// nobody opens but its root (0600). Its content is not read. The namespace's own file
// would do but for that: every user of the machine may open that one, and who holds
// its lock would hold up every project for ever.
const namespaceFile = "/proc/sys/net/ipv4/tcp_fastopen_key"

// lockNamespace locks the network namespace of this thread.
func lockNamespace() (*os.File, error) {
	ns, err := os.Open(namespaceFile)
	if err != nil { // hidden, as in some containers, or without root
		ns, err = os.Open("/proc/thread-self/ns/net")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock the network namespace: %w", err)
	}
	if err := lockFile(ns); err != nil {
		ns.Close()
		return nil, fmt.Errorf("cannot lock the network namespace: %w", err)
	}
	return ns, nil
}

// entry is the cached view of one network's directory, whether it exists or not.
func (s *store) entry(id string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		e = &entry{id: id, dir: filepath.Join(s.dir, id), self: s.self}
		s.entries[id] = e
	}
	return e
}

// list gives every network on the machine.
func (s *store) list() ([]*entry, error) {
	found, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list networks: %w", err)
	}
	var out []*entry
	for _, d := range found {
		if d.IsDir() {
			out = append(out, s.entry(d.Name()))
		}
	}
	return out, nil
}

// create records a new network. The machine-wide lock is held.
func (s *store) create(r record) error {
	dir := filepath.Join(s.dir, r.Network.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot record network %s: %w", r.Network.Name, err)
	}
	return s.entry(r.Network.ID).update(func(st *state) error {
		st.record, st.recordChanged = r, true
		return nil
	})
}

// flock opens and locks path, and makes sure that the locked file is still the
// one found under that name.
func flock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("cannot lock network state: %w", err)
		}
		if err := lockFile(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		held, err1 := f.Stat()
		named, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, named) {
			return f, nil
		}
		f.Close()
		if err2 != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err2)
		}
	}
}

func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			return err
		}
	}
}

// writeFile replaces a state file by renaming.
func writeFile(path string, content []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("cannot write network state: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("cannot write network state: %w", err)
	}
	return nil
}

// writeJSON is writeFile for a small document.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", filepath.Base(path), err)
	}
	return writeFile(path, append(b, '\n'))
}

// stamp tells two versions of a file apart. Every write is a new inode, so equal
// stamps mean an equal file.
type stamp struct {
	ino         uint64
	mtime, size int64
}

func stampOf(path string) (stamp, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return stamp{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return stamp{st.Ino, st.Mtim.Nano(), st.Size}, nil
}

func (r *record) addOwner(project string) bool {
	if slices.Contains(r.Owners, project) {
		return false
	}
	r.Owners = append(r.Owners, project)
	return true
}

func (r *record) dropOwner(project string) bool {
	i := slices.Index(r.Owners, project)
	if i < 0 {
		return false
	}
	r.Owners = slices.Delete(r.Owners, i, i+1)
	return true
}
