package netns

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Listen starts listening on a TCP socket that Reserve made. The
// file stays the caller's and holds the port when the listener is closed.
//
// Its connections inherit SO_REUSEADDR, or those in TIME_WAIT would keep the port
// from being reserved again for a minute; a socket that listens is exclusive with
// it too.
func Listen(f *os.File) (net.Listener, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.Name(), err)
	}
	var failed error
	listen := func(fd uintptr) {
		if failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); failed == nil {
			failed = unix.Listen(int(fd), 4096)
		}
	}
	if err := c.Control(listen); err != nil || failed != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.Name(), errorsOf(err, failed))
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.Name(), err)
	}
	return l, nil
}
