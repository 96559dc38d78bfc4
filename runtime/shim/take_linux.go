package shim

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Bounds of one packet of a take, which must stay below maxPacket.
const (
	takeFDs   = 128
	takeKnown = 16
)

// inventory is what a take sends.
type inventory struct {
	names []string
	fds   []int
	known []Request
}

func (v *inventory) add(name string, fd int, err error) error {
	if err != nil {
		return fmt.Errorf("cannot duplicate %q: %w", name, err)
	}
	v.names, v.fds = append(v.names, name), append(v.fds, fd)
	return nil
}

// take sends everything held and known.
func (s *server) take(c *packetConn) error {
	v, err := s.inventory()
	defer func() { closeFDs(v.fds) }()
	if err != nil {
		return c.send(Response{Error: err.Error()}, nil)
	}
	names, fds, known := v.names, v.fds, v.known
	for {
		n, k := min(len(fds), takeFDs), min(len(known), takeKnown)
		more := n < len(fds) || k < len(known)
		resp := Response{Names: names[:n], Known: known[:k], More: more}
		if err := c.send(resp, fds[:n]); err != nil {
			return err
		}
		if !more {
			return nil
		}
		names, fds, known = names[n:], fds[n:], known[k:]
	}
}

// inventory duplicates all descriptors at one moment, so that none is closed
// while it is being sent.
func (s *server) inventory() (v inventory, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, fd := range s.held {
		n, err := dup(fd)
		if err := v.add(name, n, err); err != nil {
			return v, err
		}
	}
	for _, c := range s.containers {
		if err := v.addContainer(c); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (v *inventory) addContainer(c *container) error {
	if c.pidfd != nil {
		v.known = append(v.known, c.adopt)
		fd, err := dupFile(c.pidfd)
		if err := v.add("pidfd/"+c.id, fd, err); err != nil {
			return err
		}
	}
	if c.io == nil {
		return nil
	}
	v.known = append(v.known, c.io.req)
	if c.io.stdin != nil {
		fd, err := dupFile(c.io.stdin)
		if err := v.add("stdin/"+c.id, fd, err); err != nil {
			return err
		}
	}
	for name, st := range c.io.streams {
		fd, err := dupFile(st.src)
		if err != nil {
			continue // ended a moment ago
		}
		if err := v.add(kind(c.io, name)+"/"+c.id, fd, nil); err != nil {
			unix.Close(fd)
			return err
		}
	}
	return nil
}
