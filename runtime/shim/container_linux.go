package shim

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// container is what the shim knows of one ID: a process to wait for (adopt), output
// to copy (stdio), or both. It goes when both have ended.
type container struct {
	id    string
	adopt Request  // Pid 0 before adopt and after the exit
	pidfd *os.File // nil likewise
	io    *stdio   // nil before stdio and after the last stream ended
}

// early is an exit that was reaped before anybody adopted its process: a
// container that died at once, or an orphan that nobody will ever ask for.
type early struct {
	pid   int
	start uint64
	exit  runtime.Exit
}

// maxEarly bounds what is remembered of orphans.
const maxEarly = 256

// drainPatience is how long an exit's wake waits for the log to be complete. The
// output is copied to its end in any case.
const drainPatience = 200 * time.Millisecond

// of returns the container with that id, made if need be. s.mu is held.
func (s *server) of(id string) *container {
	c := s.containers[id]
	if c == nil {
		c = &container{id: id}
		s.containers[id] = c
	}
	return c
}

// tidy forgets a container of which nothing is left. s.mu is held.
func (s *server) tidy(c *container) {
	if c.pidfd == nil && c.io == nil && s.containers[c.id] == c {
		delete(s.containers, c.id)
	}
}

// adopt makes the process r names the container's. It returns a duplicate of its
// pidfd, or -1 when it has exited already. fd is a pidfd or -1, and taken over.
func (s *server) adopt(r Request, fd int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if exit, ok := s.takeEarly(r.Pid, r.StartTime); ok {
		closeValid(fd)
		s.ended(s.replace(r), r, exit)
		return -1, nil
	}
	if c := s.containers[r.ID]; c != nil && c.pidfd != nil &&
		c.adopt.Pid == r.Pid && c.adopt.StartTime == r.StartTime {
		closeValid(fd)
		c.adopt.Gen, c.adopt.Exit = r.Gen, r.Exit
		return dupFile(c.pidfd)
	}
	if fd < 0 {
		fd = openProcess(&r)
	}
	c := s.replace(r)
	if fd < 0 { // gone, and not by our hands
		s.ended(c, r, unknownExit())
		return -1, nil
	}
	pidfd, err := pollable(fd, "pidfd")
	if err != nil {
		s.tidy(c)
		return -1, err
	}
	c.adopt, c.pidfd = r, pidfd
	if isChild(fd) {
		s.byPid[r.Pid] = c
	} else {
		go s.watch(c, r, pidfd)
	}
	return dupFile(pidfd)
}

// replace returns the container for r.ID without the process of an earlier use.
func (s *server) replace(r Request) *container {
	c := s.of(r.ID)
	s.dropProcess(c)
	return c
}

// openProcess opens r's process, -1 when it is gone or another has its pid, and
// fills in a start time that was not known.
func openProcess(r *Request) int {
	fd, err := unix.PidfdOpen(r.Pid, 0)
	if err != nil {
		return -1
	}
	start, err := StartTime(r.Pid)
	if err != nil || r.StartTime != 0 && r.StartTime != start {
		unix.Close(fd)
		return -1
	}
	r.StartTime = start
	return fd
}

func closeValid(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// takeEarly finds the exit of a process reaped before it was adopted. Without a
// start time the pid counts only when no process has it any more: the last one
// that had it is then meant.
func (s *server) takeEarly(pid int, start uint64) (runtime.Exit, bool) {
	if start == 0 {
		start, _ = StartTime(pid)
	}
	for i := len(s.early) - 1; i >= 0; i-- {
		if e := s.early[i]; e.pid == pid && (start == 0 || start == e.start) {
			s.early = append(s.early[:i], s.early[i+1:]...)
			return e.exit, true
		}
	}
	return runtime.Exit{}, false
}

// childExited takes note of a child that has exited and is not yet reaped, so
// that its pid and start time still mean it.
func (s *server) childExited(pid int, exit runtime.Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pid == s.controller {
		s.controller = 0
		s.controllerExit <- exit
		return
	}
	if c := s.byPid[pid]; c != nil {
		s.ended(c, c.adopt, exit)
		return
	}
	start, _ := StartTime(pid)
	if len(s.early) == maxEarly {
		s.early = s.early[1:]
	}
	s.early = append(s.early, early{pid, start, exit})
}

// watch waits for a process that is not our child.
func (s *server) watch(c *container, r Request, pidfd *os.File) {
	exit, closed := awaitExit(pidfd, r.Pid, r.StartTime)
	if closed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.pidfd == pidfd {
		s.ended(c, r, exit)
	}
	s.checkDone()
}

// ended records the exit of the process r names and lets go of it. The record
// is there before the child is reaped: a shim killed in between loses nothing.
func (s *server) ended(c *container, r Request, exit runtime.Exit) {
	s.exits++
	s.record(r, exit)
	if c.pidfd != nil {
		s.drop(Drop{"pidfd/" + c.id, c.adopt.Gen})
	}
	s.dropProcess(c)
	io := c.io
	if io != nil {
		s.closeInput(c, io)
		io.finish()
	}
	s.tidy(c)
	if io == nil {
		s.wake()
		return
	}
	go func() {
		t := time.NewTimer(drainPatience)
		defer t.Stop()
		select {
		case <-io.done:
		case <-t.C:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake()
	}()
}

// dropProcess lets go of c's process. s.mu is held.
func (s *server) dropProcess(c *container) {
	if c.pidfd == nil {
		return
	}
	if s.byPid[c.adopt.Pid] == c {
		delete(s.byPid, c.adopt.Pid)
	}
	c.pidfd.Close()
	c.adopt, c.pidfd = Request{}, nil
}

// forget drops everything of a container.
func (s *server) forget(id string) {
	s.mu.Lock()
	c := s.containers[id]
	if c == nil {
		s.mu.Unlock()
		return
	}
	s.dropProcess(c)
	io := c.io
	c.io = nil
	delete(s.containers, id)
	if io != nil {
		io.closeStdin() // with the lock: a stream that ends meanwhile looks at it
	}
	s.mu.Unlock()
	if io != nil {
		io.abort()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkDone()
}
