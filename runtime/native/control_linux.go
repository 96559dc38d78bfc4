package native

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/stub"
)

// message is one word of the handshake in doc.go.
type message uint64

const (
	msgForked message = 1 + iota
	msgMapped
	msgReady
	msgGo
	msgCreated
	msgProc
	msgSysfs
	msgMqueue
	msgCgroup
)

const messageSize = 8

func (m message) bytes() []byte { return binary.LittleEndian.AppendUint64(nil, uint64(m)) }

// control is the creator's end of the handshake.
type control struct {
	file  *os.File
	table stub.Table
}

// newControl returns the creator's end and the stub's.
func newControl(table stub.Table) (*control, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make control socket: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // for deadlines
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return &control{os.NewFile(uintptr(fds[0]), "control"), table}, os.NewFile(uintptr(fds[1]), "control"), nil
}

func (c *control) close() { c.file.Close() }

// within makes the operations of f end when ctx does.
func (c *control) within(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, func() { c.file.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := f(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// receive returns the next message and the descriptor that came with it, if any.
// A failure is a *runtime.StepError, the stub's death io.EOF.
func (c *control) receive(ctx context.Context) (message, *os.File, error) {
	var m message
	var fd *os.File
	err := c.within(ctx, func() (err error) {
		m, fd, err = c.receiveNow()
		return err
	})
	return m, fd, err
}

func (c *control) receiveNow() (message, *os.File, error) {
	buf, oob := make([]byte, 2*stub.FailureSize), make([]byte, unix.CmsgSpace(4))
	n, oobn, err := lastMessage(func() (int, int, error) { return c.read(buf, oob) })
	if err != nil {
		return 0, nil, fmt.Errorf("cannot receive from the container's first process: %w", err)
	}
	file, err := passed(oob[:oobn])
	if err != nil {
		return 0, nil, err
	}
	if failure, ok := stub.ParseFailure(buf[:n]); ok {
		return 0, nil, stepError(c.table, failure)
	}
	switch n {
	case 0:
		return 0, nil, io.EOF
	case messageSize:
		return message(binary.LittleEndian.Uint64(buf)), file, nil
	}
	return 0, nil, fmt.Errorf("unexpected message of %d bytes from the container's first process", n)
}

// lastMessage reads once more after the end of file. The kernel says that, too,
// when a message and the close arrive between its look at the queue and its look
// at the state (unix_dgram_recvmsg, SOCK_SEQPACKET without blocking).
func lastMessage(read func() (n, oobn int, err error)) (n, oobn int, err error) {
	if n, oobn, err = read(); err != nil || n != 0 {
		return n, oobn, err
	}
	return read()
}

func (c *control) read(buf, oob []byte) (n, oobn int, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var got error
	err = raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, got = unix.Recvmsg(int(fd), buf, oob, unix.MSG_CMSG_CLOEXEC)
		return !errors.Is(got, unix.EAGAIN) && !errors.Is(got, unix.EINTR)
	})
	return n, oobn, errors.Join(err, got)
}

// passed returns the one descriptor in oob.
func passed(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil, errors.Join(errors.New("cannot parse control message"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, errors.Join(errors.New("cannot parse passed descriptor"), err)
	}
	return os.NewFile(uintptr(fds[0]), "passed"), nil
}

// send sends m and, unless nil, a descriptor.
func (c *control) send(ctx context.Context, m message, file *os.File) error {
	var oob []byte
	if file != nil {
		oob = unix.UnixRights(int(file.Fd()))
	}
	return c.within(ctx, func() error {
		raw, err := c.file.SyscallConn()
		if err != nil {
			return err
		}
		var got error
		err = raw.Write(func(fd uintptr) bool {
			got = unix.Sendmsg(int(fd), m.bytes(), oob, nil, unix.MSG_NOSIGNAL)
			return !errors.Is(got, unix.EAGAIN) && !errors.Is(got, unix.EINTR)
		})
		if err = errors.Join(err, got); err != nil {
			return fmt.Errorf("cannot send to the container's first process: %w", err)
		}
		return nil
	})
}

// expect receives a message that must be m.
func (c *control) expect(ctx context.Context, m message) (*os.File, error) {
	got, fd, err := c.receive(ctx)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the container's first process ended while it was being created")
	}
	if err != nil {
		return nil, err
	}
	if got != m {
		return nil, fmt.Errorf("unexpected message %d of the container's first process", got)
	}
	return fd, nil
}

// finish reads until the other end is closed, by execve(2) or otherwise: nil.
func (c *control) finish(ctx context.Context) error {
	m, _, err := c.receive(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("unexpected message %d of a container's process", m)
	}
	return err
}

func stepError(t stub.Table, f stub.Failure) error {
	return &runtime.StepError{Step: t.Find(f.Step), Err: f.Errno}
}
