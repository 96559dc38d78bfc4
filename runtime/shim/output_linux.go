package shim

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"stack/runtime/log"
)

// stdio is a container's input and outputs in the shim.
type stdio struct {
	req     Request // as received, without descriptors
	log     *log.Writer
	stdin   *os.File           // write end, nil without or once passed on
	streams map[string]*stream // not yet ended; guarded by the server's lock
	all     []*stream          // also the ended; does not change
	done    chan struct{}      // closed when all streams have ended
}

// newStdio takes over fds, which r describes; they are closed on failure.
func newStdio(r Request, fds []int, bufs buffers) (_ *stdio, err error) {
	io := &stdio{req: r, streams: map[string]*stream{}, done: make(chan struct{})}
	next := 0
	defer func() {
		if err != nil {
			closeFDs(fds[next:])
			io.discard()
		}
	}()
	names, err := streamNames(r, len(fds))
	if err != nil {
		return nil, err
	}
	if r.Log != "" {
		io.log, err = log.NewWriter(r.Log, log.Options{MaxSize: r.MaxSize, MaxFiles: r.MaxFiles})
		if err != nil {
			return nil, err
		}
	}
	for i, name := range names {
		fd := fds[i]
		if err = copyable(fd); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		next = i + 1
		if err = io.add(name, fd, bufs); err != nil {
			return nil, err
		}
	}
	return io, nil
}

func (io *stdio) add(name string, fd int, bufs buffers) error {
	if name == "stdin" {
		io.stdin = os.NewFile(uintptr(fd), name)
		return nil
	}
	s, err := newStream(fd, name, nil, bufs)
	if err != nil {
		return err
	}
	if io.log != nil {
		s.sink = io.log.Stream(name)
	}
	io.streams[name] = s
	io.all = append(io.all, s)
	return nil
}

// streamNames checks a stdio request's descriptors and names them.
func streamNames(r Request, fds int) ([]string, error) {
	names := r.Streams
	if r.Terminal {
		names = []string{"stdout"}
	}
	if len(names) != fds {
		return nil, fmt.Errorf("%d descriptors for streams %q", fds, names)
	}
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] || n != "stdin" && n != "stdout" && n != "stderr" {
			return nil, fmt.Errorf("bad stream %q", n)
		}
		seen[n] = true
	}
	return names, nil
}

// copyable refuses what the poller cannot wait for.
func copyable(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR:
		return nil
	}
	return errors.New("not a pipe, socket or terminal")
}

// run starts the copying; ended is called as each stream ends.
func (io *stdio) run(ended func(name string)) {
	var left sync.WaitGroup
	for name, s := range io.streams {
		left.Add(1)
		go func() {
			s.run()
			ended(name)
			left.Done()
		}()
	}
	go func() {
		left.Wait()
		if io.log != nil {
			io.log.Close()
		}
		close(io.done)
	}()
}

// finish ends the streams once they are empty.
func (io *stdio) finish() {
	for _, s := range io.all {
		s.finish()
	}
}

// abort ends the streams, dropping the attached, and waits for it.
func (io *stdio) abort() {
	for _, s := range io.all {
		s.abort()
	}
	<-io.done
}

// discard closes what newStdio had made when it failed.
func (io *stdio) discard() {
	for _, s := range io.all {
		s.src.Close()
	}
	io.closeStdin()
	if io.log != nil {
		io.log.Close()
	}
}

func (io *stdio) closeStdin() {
	if io.stdin != nil {
		io.stdin.Close()
		io.stdin = nil
	}
}

// input duplicates what a client writes to: the terminal or the pipe. passed
// tells that the container's input now ends with the client.
func (io *stdio) input() (fd int, passed bool, err error) {
	if io.req.Terminal {
		if s := io.streams["stdout"]; s != nil {
			fd, err = dupFile(s.src)
			return fd, false, err
		}
		return -1, false, os.ErrClosed
	}
	if io.stdin == nil {
		return -1, false, errors.New("container has no open input")
	}
	if fd, err = dupFile(io.stdin); err != nil {
		return -1, false, err
	}
	if io.req.StdinOnce {
		io.closeStdin()
		return fd, true, nil
	}
	return fd, false, nil
}

// attach connects the pipes fds, named by r.Streams; fds remain the caller's.
func (io *stdio) attach(r Request, fds []int) error {
	if len(r.Streams) != len(fds) {
		return fmt.Errorf("%d descriptors for streams %q", len(fds), r.Streams)
	}
	clients := make([]*client, 0, len(fds))
	for _, fd := range fds {
		c, err := newClient(fd, r.Lossy)
		if err != nil {
			for _, c := range clients {
				c.pipe.Close()
			}
			return err
		}
		clients = append(clients, c)
	}
	for i, c := range clients {
		if s := io.streams[r.Streams[i]]; s != nil {
			s.attach(c)
		} else {
			c.pipe.Close()
		}
	}
	return nil
}
