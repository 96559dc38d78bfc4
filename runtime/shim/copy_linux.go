package shim

// setStdio starts copying for r.ID, in place of an earlier use of the ID.
func (s *server) setStdio(r Request, fds []int) error {
	s.mu.Lock()
	c := s.containers[r.ID]
	var old *stdio
	if c != nil {
		old = c.io
	}
	same := old != nil && old.req.Gen != 0 && old.req.Gen == r.Gen
	s.mu.Unlock()
	if same { // handed over twice
		closeFDs(fds)
		return nil
	}
	if old != nil { // one writer a log
		old.abort()
	}
	io, err := newStdio(r, fds, s.bufs)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.of(r.ID)
	c.io = io
	io.run(func(name string) { s.streamEnded(c, io, name) })
	s.release(c, io)
	return nil
}

func (s *server) streamEnded(c *container, io *stdio, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(io.streams, name)
	s.drop(Drop{kind(io, name) + "/" + c.id, io.req.Gen})
	if c.pidfd == nil && len(io.streams) == 0 {
		s.closeInput(c, io)
	}
	s.release(c, io)
}

// closeInput closes the shim's side of the container's input.
func (s *server) closeInput(c *container, io *stdio) {
	if io.stdin != nil {
		io.closeStdin()
		s.drop(Drop{"stdin/" + c.id, io.req.Gen})
	}
	s.release(c, io)
}

// release lets go of io when nothing of it is open.
func (s *server) release(c *container, io *stdio) {
	if c.io == io && len(io.streams) == 0 && io.stdin == nil {
		c.io = nil
		s.tidy(c)
	}
}

// kind is the name of a stream's descriptor in a take.
func kind(io *stdio, name string) string {
	if io.req.Terminal {
		return "tty"
	}
	return name
}
