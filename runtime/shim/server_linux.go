package shim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// server is the shim's state. Everything below mu is guarded by it.
type server struct {
	dir  string
	log  *slog.Logger
	bufs buffers
	done chan struct{} // closed when the shim has nothing left to do

	controllerExit chan runtime.Exit

	mu         sync.Mutex
	containers map[string]*container
	byPid      map[int]*container // our children
	early      []early
	held       map[string]int
	wakers     map[*waker]struct{}
	exits      uint64
	controller int // its pid, 0 while there is none
	failures   int // of the controller's starts, in a row
	stopping   bool
	finished   bool
	quiet      *time.Timer // gives memory back; see tune
}

func newServer(dir string, log *slog.Logger) *server {
	return &server{
		dir: dir, log: log, bufs: newBuffers(), done: make(chan struct{}),
		controllerExit: make(chan runtime.Exit, 1),
		containers:     map[string]*container{},
		byPid:          map[int]*container{},
		held:           map[string]int{},
		wakers:         map[*waker]struct{}{},
	}
}

// serve accepts connections for as long as the process lives.
func (s *server) serve(listener int) error {
	l, err := pollable(listener, "shim.sock")
	if err != nil {
		return err
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var fd int
		var acceptErr error
		err := raw.Read(func(lfd uintptr) bool {
			acceptErr = retry(func() (err error) {
				fd, _, err = unix.Accept4(int(lfd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				return err
			})
			return !errors.Is(acceptErr, unix.EAGAIN)
		})
		if err != nil {
			return err
		}
		if acceptErr != nil {
			s.log.Error("cannot accept connection", "error", acceptErr)
			time.Sleep(firstBackoff) // out of descriptors: it stays so for a while
			continue
		}
		if !samePeer(fd) {
			unix.Close(fd)
			continue
		}
		c, err := newPacketConn(fd)
		if err != nil {
			s.log.Error("cannot accept connection", "error", err)
			continue
		}
		go s.converse(c)
	}
}

// converse answers one connection's requests in order.
func (s *server) converse(c *packetConn) {
	defer c.Close()
	for {
		var r Request
		fds, err := c.receive(&r)
		if err == nil && r.Op == OpWake {
			closeFDs(fds)
			s.serveWake(c)
			return
		}
		if err == nil {
			err = s.answer(c, r, fds)
		} else {
			closeFDs(fds)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) {
			return
		}
		if err != nil {
			s.log.Error("connection failed", "op", r.Op, "error", err)
			return
		}
	}
}

// answer carries out r, which owns fds, and sends the response. An error is one
// of the connection.
func (s *server) answer(c *packetConn, r Request, fds []int) error {
	if r.Op == OpTake {
		closeFDs(fds)
		return s.take(c)
	}
	resp, out, err := s.do(r, fds)
	if err != nil {
		resp = Response{Error: err.Error(), NotFound: errors.Is(err, runtime.ErrNotFound)}
	}
	defer closeFDs(out)
	return c.send(resp, out)
}

// do carries out r and takes over fds; the caller closes out.
func (s *server) do(r Request, fds []int) (resp Response, out []int, err error) {
	if err := r.check(len(fds)); err != nil {
		closeFDs(fds)
		return resp, nil, fmt.Errorf("bad %s request: %w", r.Op, err)
	}
	switch r.Op {
	case OpAdopt:
		s.starts()
		fd := -1
		if len(fds) == 1 {
			fd = fds[0]
		}
		pidfd, err := s.adopt(r, fd)
		if pidfd >= 0 {
			out = []int{pidfd}
		}
		return resp, out, err
	case OpStdio:
		return resp, nil, s.setStdio(r, fds)
	case OpHold:
		s.hold(r.Name, fds[0])
		return resp, nil, nil
	}
	defer closeFDs(fds)
	switch r.Op {
	case OpHello:
		return s.hello(), nil, nil
	case OpAttach:
		out, err = s.attach(r, fds)
		return resp, out, err
	case OpRelease:
		return resp, nil, s.releaseHeld(r.Name)
	case OpForget:
		s.forget(r.ID)
		return resp, nil, nil
	case OpStop:
		s.stop()
		return resp, nil, nil
	}
	return resp, nil, fmt.Errorf("unknown operation %q", r.Op)
}

func (s *server) hello() Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Response{Version: Version, Pid: os.Getpid(), Stopping: s.stopping, Failures: s.failures}
}

func (s *server) attach(r Request, fds []int) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.ID]
	if c == nil || c.io == nil {
		return nil, fmt.Errorf("cannot attach to %q: %w", r.ID, runtime.ErrNotFound)
	}
	io := c.io
	if err := io.attach(r, fds); err != nil {
		return nil, fmt.Errorf("cannot attach to %q: %w", r.ID, err)
	}
	var out []int
	if r.Stdin {
		fd, passed, err := io.input()
		if err != nil {
			return nil, fmt.Errorf("cannot attach to input of %q: %w", r.ID, err)
		}
		out = []int{fd}
		if passed {
			s.drop(Drop{"stdin/" + c.id, io.req.Gen})
			s.release(c, io)
		}
	}
	return out, nil
}

func (s *server) hold(name string, fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.held[name]; ok {
		unix.Close(old)
	}
	s.held[name] = fd
}

func (s *server) releaseHeld(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, ok := s.held[name]
	if !ok {
		return fmt.Errorf("cannot release %q: not held", name)
	}
	delete(s.held, name)
	return unix.Close(fd)
}

// stop ends the supervision of the controller and, with the last child, the
// shim.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	s.checkDone()
}

// checkDone ends the shim when it was told to stop and nothing lives. s.mu is
// held.
func (s *server) checkDone() {
	if !s.stopping || s.finished || s.controller != 0 {
		return
	}
	for _, c := range s.containers {
		if c.pidfd != nil {
			return
		}
	}
	if _, _, err := peekChild(); !errors.Is(err, unix.ECHILD) {
		return
	}
	s.finished = true
	close(s.done)
}

// reap records and reaps every child that has exited.
func (s *server) reap() {
	for {
		pid, exit, err := peekChild()
		if err != nil || pid == 0 {
			break
		}
		s.childExited(pid, exit)
		reapChild(pid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkDone()
}

// drained waits until no output is being copied.
func (s *server) drained() <-chan struct{} {
	s.mu.Lock()
	var ios []*stdio
	for _, c := range s.containers {
		if c.io != nil {
			ios = append(ios, c.io)
			c.io.finish()
		}
	}
	s.mu.Unlock()
	all := make(chan struct{})
	go func() {
		for _, io := range ios {
			<-io.done
		}
		close(all)
	}()
	return all
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
