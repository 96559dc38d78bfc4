package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxPacket = 64 << 10
	// maxFDs is what one packet carries at most; the kernel's limit is 253.
	maxFDs = 250
)

// packetConn sends and receives JSON packets with descriptors. One goroutine
// may send while another receives. Raw system calls on the runtime's poller: the
// net package would double the shim's start-up and add a megabyte.
type packetConn struct {
	file *os.File
	raw  syscall.RawConn
}

// newPacketConn takes over fd, a connected SOCK_SEQPACKET socket.
func newPacketConn(fd int) (*packetConn, error) {
	f, err := pollable(fd, "shim.sock")
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &packetConn{f, raw}, nil
}

// pollable makes fd non-blocking and gives it to the runtime's poller; fd is
// closed on failure.
func pollable(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot poll %s: %w", name, err)
	}
	return f, nil
}

func (c *packetConn) Close() error { return c.file.Close() }

// send writes one packet. fds remain the caller's.
func (c *packetConn) send(v any, fds []int) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxPacket || len(fds) > maxFDs {
		return fmt.Errorf("packet of %d bytes and %d descriptors is too large", len(b), len(fds))
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	var sendErr error
	err = c.raw.Write(func(fd uintptr) bool {
		sendErr = retry(func() error {
			return unix.Sendmsg(int(fd), b, oob, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		})
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, sendErr)
}

// receive reads one packet into v; io.EOF when the peer is gone. The
// descriptors are the caller's, also when v could not be decoded.
func (c *packetConn) receive(v any) ([]int, error) {
	var b []byte
	var fds []int
	var recvErr error
	err := c.raw.Read(func(fd uintptr) bool {
		b, fds, recvErr = receiveFrom(int(fd))
		return !errors.Is(recvErr, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return nil, err
	case errors.Is(recvErr, unix.ECONNRESET):
		return nil, io.EOF
	case recvErr != nil:
		return nil, recvErr
	}
	return fds, json.Unmarshal(b, v)
}

// receiveFrom asks for the size first, so that an idle connection has no buffer.
func receiveFrom(fd int) ([]byte, []int, error) {
	n, err := lastSize(func() (n int, err error) {
		err = retry(func() (err error) {
			n, _, err = unix.Recvfrom(fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_DONTWAIT)
			return err
		})
		return n, err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case n == 0:
		return nil, nil, io.EOF
	case n > maxPacket:
		return nil, nil, fmt.Errorf("packet of %d bytes is too large", n)
	}
	b := make([]byte, n)
	oob := make([]byte, unix.CmsgSpace(253*4))
	var oobn, flags int
	err = retry(func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(fd, b, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	fds, err := rights(oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = errors.New("descriptors were cut off (too many open files)")
	}
	if err != nil {
		closeFDs(fds)
		return nil, nil, err
	}
	return b[:n], fds, nil
}

// lastSize looks once more after the end of file. The kernel says that, too, when
// a packet and the close arrive between its look at the queue and its look at the
// state (unix_dgram_recvmsg). No packet of ours is empty.
func lastSize(peek func() (int, error)) (int, error) {
	if n, err := peek(); err != nil || n != 0 {
		return n, err
	}
	return peek()
}

func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// unixSocket makes a socket of the given type and calls do with an address for
// name in dir that fits sockaddr_un, however long dir is.
func unixSocket(dir, name string, typ int, do func(fd int, sa unix.Sockaddr) error) (int, error) {
	d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open", err)
	}
	defer unix.Close(d)
	fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	sa := &unix.SockaddrUnix{Name: filepath.Join("/proc/self/fd", strconv.Itoa(d), name)}
	if err := do(fd, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// listenUnix replaces the socket name in dir by a new one with mode 0600.
func listenUnix(dir, name string, typ int) (int, error) {
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return -1, err
	}
	fd, err := unixSocket(dir, name, typ, unix.Bind)
	if err != nil {
		return -1, fmt.Errorf("cannot make socket %q: %w", path, err)
	}
	err = os.Chmod(path, 0o600)
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("cannot listen on %q: %w", path, err)
	}
	return fd, nil
}

// samePeer tells whether the process at the other end has our user id.
func samePeer(fd int) bool {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	return err == nil && int(cred.Uid) == os.Geteuid()
}

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// dup duplicates a descriptor; never with less than 3.
func dup(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	return n, os.NewSyscallError("fcntl", err)
}

// dupFile duplicates f's descriptor without changing f's blocking mode, as
// f.Fd would.
func dupFile(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	n := -1
	ctlErr := raw.Control(func(fd uintptr) { n, err = dup(int(fd)) })
	return n, errors.Join(ctlErr, err)
}
