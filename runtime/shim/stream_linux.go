package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// buffers lends the few buffers that output is read into, and with them the
// right to write to a log: bounds the memory of a burst, and the threads that a
// stalled disk takes.
type buffers chan *[chunk]byte

// chunk is how much output is read at once: half of what a pipe holds.
const (
	chunk      = 32 << 10
	bufferSets = 4
)

func newBuffers() buffers {
	b := make(buffers, bufferSets)
	for range bufferSets {
		b <- nil // made when first used
	}
	return b
}

func (b buffers) take() *[chunk]byte {
	if buf := <-b; buf != nil {
		return buf
	}
	return new([chunk]byte)
}

// lossyPatience is how long a lossy client may hold up the container.
const lossyPatience = time.Second

// stream copies one output of a container to its log and to whoever is
// attached. It ends when the source does, or when the container has exited and
// the source is empty: a descriptor that leaked out of the container must not
// keep it open. An idle stream costs a parked goroutine and no buffer.
type stream struct {
	src  *os.File
	raw  syscall.RawConn
	sink io.Writer // the log; nil discards
	bufs buffers
	done chan struct{}
	copy []byte // what clients are being given; nil without clients

	mu      sync.Mutex
	clients []*client
	ended   bool
}

// client is one attached pipe.
type client struct {
	pipe  *os.File
	lossy bool
}

// newStream takes over fd, the read end of a pipe or a terminal's master.
func newStream(fd int, name string, sink io.Writer, bufs buffers) (*stream, error) {
	src, err := pollable(fd, name)
	if err != nil {
		return nil, err
	}
	raw, err := src.SyscallConn()
	if err != nil {
		src.Close()
		return nil, err
	}
	return &stream{src: src, raw: raw, sink: sink, bufs: bufs, done: make(chan struct{})}, nil
}

// run copies until the end.
func (s *stream) run() {
	defer s.end()
	for {
		more, err := s.copyChunk(s.raw.Read)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			s.drain()
			return
		}
		if !more || err != nil {
			return
		}
	}
}

// drain copies what is in the source now.
func (s *stream) drain() {
	once := func(f func(uintptr) bool) error {
		return s.raw.Control(func(fd uintptr) { f(fd) })
	}
	for {
		if more, err := s.copyChunk(once); !more || err != nil {
			return
		}
	}
}

// copyChunk reads once, when and how wait lets it, and passes on what came.
// more is false at the end, and where wait did not wait and nothing was there.
func (s *stream) copyChunk(wait func(func(uintptr) bool) error) (more bool, err error) {
	var buf *[chunk]byte
	var n int
	var readErr error
	err = wait(func(fd uintptr) bool {
		buf = s.bufs.take()
		readErr = retry(func() (err error) { n, err = unix.Read(int(fd), buf[:]); return err })
		if readErr != nil || n == 0 {
			s.bufs <- buf
			buf = nil
		}
		return !errors.Is(readErr, unix.EAGAIN)
	})
	if buf == nil {
		// A terminal whose other side is closed gives EIO: an end like any.
		return false, err
	}
	if s.sink != nil {
		_, _ = s.sink.Write(buf[:n]) // counts its losses itself
	}
	clients := s.attached()
	if len(clients) > 0 {
		s.copy = append(s.copy[:0], buf[:n]...)
	} else {
		s.copy = nil
	}
	s.bufs <- buf
	s.pass(clients)
	return true, err
}

func (s *stream) attached() []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clients)
}

// pass gives the copy to the clients. A slow one holds up the container, as a
// pipe to it would; one that is gone, or lossy and slow, is let go.
func (s *stream) pass(clients []*client) {
	for _, c := range clients {
		if c.lossy {
			_ = c.pipe.SetWriteDeadline(time.Now().Add(lossyPatience))
		}
		if _, err := c.pipe.Write(s.copy); err != nil {
			s.detach(c)
		}
	}
}

func (s *stream) detach(c *client) {
	s.mu.Lock()
	s.clients = slices.DeleteFunc(s.clients, func(x *client) bool { return x == c })
	s.mu.Unlock()
	c.pipe.Close()
}

// attach adds a client; one that comes after the end is closed at once.
func (s *stream) attach(c *client) {
	s.mu.Lock()
	ended := s.ended
	if !ended {
		s.clients = append(s.clients, c)
	}
	s.mu.Unlock()
	if ended {
		c.pipe.Close()
	}
}

// finish makes the stream end once its source is empty.
func (s *stream) finish() { _ = s.src.SetReadDeadline(time.Unix(1, 0)) }

// abort makes the stream end soon, whatever its clients do.
func (s *stream) abort() {
	s.finish()
	s.closeClients()
}

func (s *stream) end() {
	s.closeClients()
	s.src.Close()
	close(s.done)
}

func (s *stream) closeClients() {
	s.mu.Lock()
	clients := s.clients
	s.clients, s.ended = nil, true
	s.mu.Unlock()
	for _, c := range clients {
		c.pipe.Close()
	}
}

// newClient makes an attached client of the write end of a pipe. The pipe is
// opened anew: its own description may be non-blocking without changing the
// mode of the client's, which could be shared with a shell.
func newClient(fd int, lossy bool) (*client, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, errors.New("cannot attach to what is not a pipe")
	}
	own, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open attached pipe: %w", err)
	}
	f, err := pollable(own, "attached")
	if err != nil {
		return nil, err
	}
	return &client{f, lossy}, nil
}
