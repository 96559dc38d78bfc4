package statedir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/flock"
)

// Root is where a runtime's containers have their directories.
type Root string

// Dir is a container's directory, open. Its lock ends with Close, or with the process.
type Dir struct {
	ID     string
	Path   string
	File   *os.File
	locked bool
}

// maxID bounds an ID: it is a file's name.
const maxID = 255

// CheckID refuses what cannot name a container.
func CheckID(id string) error {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+.-", r)
	}
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, foreign) || id == "." || id == ".." {
		return fmt.Errorf("invalid container ID %q", id)
	}
	return nil
}

// Path is a container's directory, whether it exists or not.
func (r Root) Path(id string) string { return filepath.Join(string(r), id) }

// Claim makes the directory of a new container and locks it exclusively.
// Errors: runtime.ErrExists.
func (r Root) Claim(ctx context.Context, id string) (*Dir, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(string(r), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make state directory: %w", err)
	}
	err := os.Mkdir(r.Path(id), 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: %s", runtime.ErrExists, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make state directory: %w", err)
	}
	return r.Lock(ctx, id, unix.LOCK_EX)
}

// Open opens an existing container's directory without a lock.
// Errors: runtime.ErrNotFound.
func (r Root) Open(id string) (*Dir, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.Path(id), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open state of container %s: %w", id, err)
	}
	return &Dir{ID: id, Path: r.Path(id), File: f}, nil
}

// Lock opens an existing container's directory and locks it, unix.LOCK_EX or LOCK_SH.
// Errors: runtime.ErrNotFound, also when it was deleted meanwhile.
func (r Root) Lock(ctx context.Context, id string, how int) (*Dir, error) {
	d, err := r.Open(id)
	if err != nil {
		return nil, err
	}
	if err := flock.Wait(ctx, d.File, how); err != nil {
		d.Close()
		return nil, fmt.Errorf("cannot lock container %s: %w", id, err)
	}
	// Whoever held the lock may have deleted the container.
	var st unix.Stat_t
	if err := unix.Fstat(int(d.File.Fd()), &st); err != nil || st.Nlink == 0 {
		d.Close()
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	d.locked = true
	return d, nil
}

// List gives the states of all containers. One that vanishes meanwhile is not in the
// list; one whose state cannot be told is an error beside the others.
func (r Root) List(state func(id string) (runtime.State, error)) ([]runtime.State, error) {
	entries, err := os.ReadDir(string(r))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	var list []runtime.State
	var failed []error
	for _, e := range entries {
		if !e.IsDir() || CheckID(e.Name()) != nil {
			continue
		}
		s, err := state(e.Name())
		switch {
		case errors.Is(err, runtime.ErrNotFound):
		case err != nil:
			failed = append(failed, err)
		default:
			list = append(list, s)
		}
	}
	return list, errors.Join(failed...)
}

// Close lets go of the directory, and of its lock.
func (d *Dir) Close() { d.File.Close() }

// Name is the path of a file in the directory.
func (d *Dir) Name(file string) string { return filepath.Join(d.Path, file) }

// Has reports whether a file is there.
func (d *Dir) Has(file string) bool { return unix.Access(d.Name(file), unix.F_OK) == nil }

// ReadRecord gives the content of a file, nil when its writer died before the first.
func (d *Dir) ReadRecord(file string) ([]byte, error) {
	b, err := os.ReadFile(d.Name(file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read container record: %w", err)
	}
	return b, nil
}

// WriteJSON is Write of what v is in JSON.
func (d *Dir) WriteJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot encode %s of container %s: %w", file, d.ID, err)
	}
	return d.Write(file, b)
}

// Write replaces a file (0600) as a whole.
func (d *Dir) Write(file string, b []byte) error {
	name := d.Name(file)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return fmt.Errorf("cannot write container record: %w", err)
	}
	if err := replace(name+".new", name); err != nil {
		return fmt.Errorf("cannot replace container record: %w", err)
	}
	return nil
}

// replace puts file from in to's place. ext4 begins to write a file to the disk that is
// renamed over another, which takes longer than all else here and is of no use; files
// that change places it leaves alone.
func replace(from, to string) error {
	if unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE) == nil {
		return os.Remove(from)
	}
	return os.Rename(from, to) // there is none yet, or the file system cannot
}

// Remove takes the directory away.
func (d *Dir) Remove() error {
	if err := os.RemoveAll(d.Path); err != nil {
		return fmt.Errorf("cannot remove state of container %s: %w", d.ID, err)
	}
	return nil
}

// Unfinished is the status of a container without a recorded process: creating while
// its creator holds the lock, dead after. Who holds the lock keeps it.
func (d *Dir) Unfinished() runtime.Status {
	if d.locked {
		return runtime.Stopped
	}
	if err := unix.Flock(int(d.File.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return runtime.Creating
	}
	unix.Flock(int(d.File.Fd()), unix.LOCK_UN)
	return runtime.Stopped
}
