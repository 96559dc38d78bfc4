package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

const (
	recordName = "state.json"
	socketName = "start.sock"
	// poststartName spares a start without hooks the reading of the record.
	poststartName = "poststart"
)

// home is a container's directory, open. Its lock ends with close, or with the
// process.
type home struct {
	id   string
	path string
	dir  *os.File
}

func (r *Runtime) path(id string) string { return filepath.Join(r.root, id) }

// claim makes the directory of a new container and locks it exclusively.
func (r *Runtime) claim(ctx context.Context, id string) (*home, error) {
	if err := os.MkdirAll(r.root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make state directory: %w", err)
	}
	err := os.Mkdir(r.path(id), 0o700)
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
	if err := validateID(id); err != nil {
		return nil, err
	}
	dir, err := os.OpenFile(r.path(id), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open state of container %s: %w", id, err)
	}
	return &home{id: id, path: r.path(id), dir: dir}, nil
}

// lock opens an existing container's directory and locks it, see doc.go.
func (r *Runtime) lock(ctx context.Context, id string, how int) (*home, error) {
	h, err := r.open(id)
	if err != nil {
		return nil, err
	}
	if err := flock(ctx, h.dir, how); err != nil {
		h.close()
		return nil, fmt.Errorf("cannot lock container %s: %w", id, err)
	}
	// Whoever held the lock may have deleted the container.
	var st unix.Stat_t
	if err := unix.Fstat(int(h.dir.Fd()), &st); err != nil || st.Nlink == 0 {
		h.close()
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	return h, nil
}

// flock waits for the lock or ctx. The wait itself cannot be interrupted: it
// goes on with a duplicate of the descriptor, and its lock ends with that.
func flock(ctx context.Context, f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	dup, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		err := error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(dup, how)
		}
		unix.Close(dup)
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

// read returns the record, nil when its writer died before the first.
func (h *home) read() (*record, error) {
	b, err := os.ReadFile(filepath.Join(h.path, recordName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read container record: %w", err)
	}
	return parseRecord(b)
}

func (h *home) write(rec *record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("cannot encode container record: %w", err)
	}
	name := filepath.Join(h.path, recordName)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return fmt.Errorf("cannot write container record: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("cannot replace container record: %w", err)
	}
	return nil
}

// remove takes the container's directory away.
func (h *home) remove() error {
	if err := os.RemoveAll(h.path); err != nil {
		return fmt.Errorf("cannot remove state of container %s: %w", h.id, err)
	}
	return nil
}

// listen makes the socket the first process will accept its start on. The path
// goes through the directory's descriptor: a socket's name is limited to 107
// bytes.
func (h *home) listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make start socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), socketName)
	if err := unix.Bind(fd, h.address()); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot bind start socket: %w", err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot listen on start socket: %w", err)
	}
	return f, nil
}

func (h *home) address() *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", h.dir.Fd(), socketName)}
}

// inode identifies an open socket, as in "socket:[INODE]".
func inode(f *os.File) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}
