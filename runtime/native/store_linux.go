package native

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/statedir"
)

const (
	recordName = "state.json"
	socketName = "start.sock"
	// poststartName spares a start without hooks the reading of the record.
	poststartName = "poststart"
)

// home is a container's directory, open; see doc.go for its lock.
type home struct{ *statedir.Dir }

func (r *Runtime) claim(ctx context.Context, id string) (*home, error) {
	return homeOf(r.root.Claim(ctx, id))
}

// open opens an existing container's directory without a lock.
func (r *Runtime) open(id string) (*home, error) { return homeOf(r.root.Open(id)) }

func (r *Runtime) lock(ctx context.Context, id string, how int) (*home, error) {
	return homeOf(r.root.Lock(ctx, id, how))
}

func homeOf(d *statedir.Dir, err error) (*home, error) {
	if err != nil {
		return nil, err
	}
	return &home{d}, nil
}

// read returns the record, nil when its writer died before the first. One that is not
// understood is an error and what could be read of it.
func (h *home) read() (*record, error) {
	b, err := h.ReadRecord(recordName)
	if b == nil || err != nil {
		return nil, err
	}
	return parseRecord(b)
}

// write returns what it has written.
func (h *home) write(rec *record) ([]byte, error) {
	text, err := rec.encode()
	if err != nil {
		return nil, fmt.Errorf("cannot encode the record of container %s: %w", h.ID, err)
	}
	return text, h.Write(recordName, text)
}

// written is a record and its text.
type written struct {
	record *record
	text   []byte
}

// read is h.read, which need not decode what this runtime wrote last.
func (r *Runtime) read(h *home) (*record, error) {
	b, err := h.ReadRecord(recordName)
	switch {
	case b == nil || err != nil:
		return nil, err
	case r.last.record != nil && bytes.Equal(b, r.last.text):
		return r.last.record, nil
	}
	return parseRecord(b)
}

// recorded opens a container without a lock, for what only reads; the caller closes
// it. One without a record is ErrNotRunning.
func (r *Runtime) recorded(id string) (*home, *record, error) {
	h, err := r.open(id)
	if err != nil {
		return nil, nil, err
	}
	rec, err := h.read()
	if err == nil && rec == nil {
		err = fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	if err != nil {
		h.Close()
		return nil, nil, err
	}
	return h, rec, nil
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
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", h.File.Fd(), socketName)}
}

// inode identifies an open socket, as in "socket:[INODE]".
func inode(f *os.File) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}
