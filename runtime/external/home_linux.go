package external

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
)

// home is a container's directory, open. Its lock ends with close.
type home struct {
	id   string
	path string
	dir  *os.File
}

const maxID = 255

func checkID(id string) error {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_+.-", r)
	}
	if id == "" || len(id) > maxID || id == "." || id == ".." || strings.ContainsFunc(id, foreign) {
		return fmt.Errorf("invalid container ID %q", id)
	}
	return nil
}

// claim makes the directory of a new container and locks it.
func (r *Runtime) claim(ctx context.Context, id string) (*home, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	err := os.MkdirAll(r.Root, 0o700)
	if err == nil {
		err = os.Mkdir(filepath.Join(r.Root, id), 0o700)
	}
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%w: %s", runtime.ErrExists, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make state directory: %w", err)
	}
	return r.lock(ctx, id, unix.LOCK_EX)
}

// open opens an existing container's directory without a lock.
func (r *Runtime) open(id string) (*home, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	path := filepath.Join(r.Root, id)
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open state of container %s: %w", id, err)
	}
	return &home{id: id, path: path, dir: dir}, nil
}

// lock opens an existing container's directory and locks it: exclusively to make or
// delete it, shared to act on it.
func (r *Runtime) lock(ctx context.Context, id string, how int) (*home, error) {
	h, err := r.open(id)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, h.dir, how); err != nil {
		h.close()
		return nil, fmt.Errorf("cannot lock container %s: %w", id, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(h.dir.Fd()), &st); err != nil || st.Nlink == 0 { // deleted meanwhile
		h.close()
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	return h, nil
}

// flock waits for the lock or ctx. The wait cannot be interrupted: it goes on with a
// duplicate of the descriptor, and what it gets ends with that.
func flock(ctx context.Context, f *os.File, how int) error {
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	dup, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer unix.Close(dup)
		err := unix.Flock(dup, how)
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(dup, how)
		}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *home) close() { h.dir.Close() }

func (h *home) file(name string) string { return filepath.Join(h.path, name) }

func (h *home) has(name string) bool { return unix.Access(h.file(name), unix.F_OK) == nil }

func (h *home) mark(name string) error {
	if err := os.WriteFile(h.file(name), nil, 0o600); err != nil {
		return fmt.Errorf("cannot record that container %s is %s: %w", h.id, name, err)
	}
	return nil
}

// read returns the record, nil when its writer died before the first.
func (h *home) read() (*record, error) {
	b, err := os.ReadFile(h.file(recordName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read container record: %w", err)
	}
	return parseRecord(b)
}

func (h *home) write(rec *record) error { return h.writeJSON(recordName, rec) }

func (h *home) writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", name, err)
	}
	name = h.file(name)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return fmt.Errorf("cannot write the container's record: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("cannot replace the container's record: %w", err)
	}
	return nil
}

func (h *home) remove() error {
	if err := os.RemoveAll(h.path); err != nil {
		return fmt.Errorf("cannot remove state of container %s: %w", h.id, err)
	}
	return nil
}
