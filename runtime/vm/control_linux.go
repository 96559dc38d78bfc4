package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/vm/wire"
)

const socketName = "control.sock"

// address reaches a socket however long its path is.
func address(dir *os.File) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), socketName)}
}

// listen makes a machine's record: the socket that its monitor inherits.
func (r *Runtime) listen(id string) (*os.File, error) {
	if err := os.MkdirAll(r.o.Root, 0o700); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(r.dir(id)); err != nil {
		return nil, err
	}
	if err := os.Mkdir(r.dir(id), 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(r.dir(id))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), socketName)
	if err = unix.Bind(fd, address(dir)); err == nil {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot make the control socket of machine %s: %w", id, err)
	}
	return f, nil
}

// conversation is a connection to a machine's monitor, with one stream.
type conversation struct {
	net.Conn
	stop func() bool
}

// dial connects; when ctx ends, so does the connection.
func (r *Runtime) dial(ctx context.Context, id string) (*conversation, error) {
	dir, err := os.Open(r.dir(id))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotFound, id)
	}
	defer dir.Close()
	c, err := net.Dial("unix", address(dir).Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", runtime.ErrNotRunning, id)
	}
	return &conversation{c, context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })}, nil
}

// ask opens the stream, whose number is 1, and gives the first answer.
func (c *conversation) ask(r wire.Request) (wire.Message, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return wire.Message{}, err
	}
	if _, err := c.Write(wire.Frame{Kind: wire.KindOpen, Stream: 1, Payload: b}.Bytes()); err != nil {
		return wire.Message{}, err
	}
	for {
		f, err := wire.ReadFrame(c)
		if err != nil {
			return wire.Message{}, noEOF(err)
		}
		switch f.Kind {
		case wire.KindMessage:
			var m wire.Message
			return m, json.Unmarshal(f.Payload, &m)
		case wire.KindClose:
			return wire.Message{}, io.ErrUnexpectedEOF
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// file is the connection's descriptor, for another process.
func (c *conversation) file() (*os.File, error) {
	c.stop()
	return c.Conn.(*net.UnixConn).File()
}

// usageTime bounds a question to a guest, which may be busy.
const usageTime = 20 * time.Second

// usage asks the guest.
func (r *Runtime) usage(ctx context.Context, id string, op wire.Op) (*wire.Usage, error) {
	ctx, cancel := context.WithTimeout(ctx, usageTime)
	defer cancel()
	c, err := r.dial(ctx, id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := c.ask(wire.Request{Op: op})
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("the virtual machine did not answer within %v", usageTime)
	case err != nil:
		return nil, err
	case m.Failure != nil:
		return nil, m.Failure.Err()
	case m.Usage == nil:
		return nil, errors.New("the guest gave no answer")
	}
	return m.Usage, nil
}
