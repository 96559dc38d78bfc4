package external

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// console is a socket on which a program hands a terminal's master over. All methods
// do with nil: there is no terminal.
type console struct {
	listener *net.UnixListener
	dir      *os.File
}

// listen makes the socket in a directory. A socket's name is limited to 107 bytes, so it is
// told and bound by way of a descriptor of the directory.
func listen(path string) (*console, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot make a console socket: %w", err)
	}
	c := &console{dir: dir}
	os.Remove(filepath.Join(path, consoleName))
	c.listener, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: c.address()})
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("cannot make a console socket: %w", err)
	}
	return c, nil
}

func (c *console) address() string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf("/proc/%d/fd/%d/%s", os.Getpid(), c.dir.Fd(), consoleName)
}

// receive takes the master from the program that connects.
func (c *console) receive(ctx context.Context) (*os.File, error) {
	stop := context.AfterFunc(ctx, func() { c.listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("cannot receive a terminal: %w", err))
	}
	defer conn.Close()
	end := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer end()
	name, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, rights)
	if err != nil {
		return nil, fmt.Errorf("cannot receive a terminal: %w", err)
	}
	return terminalOf(rights[:n])
}

// terminalOf is the one descriptor in a control message, which must be a terminal's
// master.
func terminalOf(rights []byte) (*os.File, error) {
	fd, err := passed(rights)
	if err != nil {
		return nil, fmt.Errorf("cannot receive a terminal: %w", err)
	}
	if _, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
		err = unix.SetNonblock(fd, true) // for deadlines
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot receive a terminal: what came is none: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), nil
}

// settleTerminal gives a terminal to its user, and its size unless nil.
func settleTerminal(master *os.File, uid uint32, size *unix.Winsize) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
		if errno != 0 {
			failed = errno
			return
		}
		defer unix.Close(int(peer))
		if failed = unix.Fchown(int(peer), int(uid), -1); failed == nil && size != nil {
			failed = unix.IoctlSetWinsize(int(peer), unix.TIOCSWINSZ, size)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("cannot settle a terminal: %w", err)
	}
	return nil
}

// passed is the one descriptor in a control message.
func passed(rights []byte) (int, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return -1, errors.New("no descriptor came")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("not one descriptor came")
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}

func (c *console) close() {
	if c != nil {
		c.listener.Close()
		c.dir.Close()
	}
}
