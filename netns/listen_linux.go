package netns

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Listen starts listening on a TCP socket that Reserve or ListenIn made. The
// file stays the caller's and holds the port when the listener is closed.
func Listen(f *os.File) (net.Listener, error) {
	c, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.Name(), err)
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 4096) }); err != nil || failed != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.Name(), errorsOf(err, failed))
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.Name(), err)
	}
	return l, nil
}
