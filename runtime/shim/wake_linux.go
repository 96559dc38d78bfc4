package shim

// waker is a connection that wants to hear of exits. What it has not been told
// yet adds up here, so a slow one delays nobody.
type waker struct {
	kick    chan struct{} // capacity 1
	exits   uint64
	dropped []Drop
}

// maxDropped bounds the drops in one packet.
const maxDropped = 128

// wake tells all wakers of the exits so far. s.mu is held.
func (s *server) wake() {
	for w := range s.wakers {
		w.exits = s.exits
		w.signal()
	}
}

// drop tells all wakers what was let go of. s.mu is held.
func (s *server) drop(d Drop) {
	for w := range s.wakers {
		w.dropped = append(w.dropped, d)
		w.signal()
	}
}

func (w *waker) signal() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// next takes what is to be told.
func (s *server) next(w *waker) Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(w.dropped), maxDropped)
	r := Response{Exits: w.exits, Dropped: w.dropped[:n:n]}
	w.dropped = w.dropped[n:]
	if len(w.dropped) > 0 {
		w.signal()
	}
	return r
}

// serveWake makes c a waker until it is closed from the other side.
func (s *server) serveWake(c *packetConn) {
	w := &waker{kick: make(chan struct{}, 1)}
	s.mu.Lock()
	s.wakers[w] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.wakers, w)
		s.mu.Unlock()
	}()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var r Request
		fds, _ := c.receive(&r) // nothing more is expected: the end of it
		closeFDs(fds)
	}()
	for err := c.send(Response{}, nil); err == nil; err = c.send(s.next(w), nil) {
		select {
		case <-w.kick:
		case <-gone:
			return
		}
	}
}
