package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Conn carries streams over one byte stream.
type Conn struct {
	rw     io.ReadWriteCloser
	accept func(*Stream, json.RawMessage)

	writing sync.Mutex

	mu      sync.Mutex
	next    uint32
	streams map[uint32]sink
	closed  error
	done    chan struct{}
}

// sink is who receives a stream's frames; it must not block.
type sink interface {
	receive(Frame) error
	lost(error)
}

// New starts to read from rw. Streams that the other side opens are given to accept,
// each on a goroutine of its own; nil refuses them. first is 1 on the host's side, 2
// on the guest's.
func New(rw io.ReadWriteCloser, first uint32, accept func(*Stream, json.RawMessage)) *Conn {
	c := &Conn{rw: rw, accept: accept, next: first, streams: map[uint32]sink{}, done: make(chan struct{})}
	go c.read()
	return c
}

// Resume goes on with a stream that another process opened over rw.
func Resume(rw io.ReadWriteCloser, id uint32) *Stream {
	c := &Conn{rw: rw, next: id + 2, streams: map[uint32]sink{}, done: make(chan struct{})}
	s := newStream(c, id)
	c.streams[id] = s
	go c.read()
	return s
}

// Done is closed when the connection has ended; Err tells why.
func (c *Conn) Done() <-chan struct{} { return c.done }

func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close ends the connection and every stream.
func (c *Conn) Close() error {
	c.end(io.ErrClosedPipe)
	return nil
}

func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return
	}
	c.closed = err
	for _, s := range c.streams {
		s.lost(err)
	}
	c.streams = nil
	c.rw.Close()
	close(c.done)
}

func (c *Conn) read() {
	for {
		f, err := ReadFrame(c.rw)
		if err == nil {
			err = c.dispatch(f)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

func (c *Conn) dispatch(f Frame) error {
	c.mu.Lock()
	s := c.streams[f.Stream]
	if f.Kind == KindClose {
		delete(c.streams, f.Stream)
	}
	own := c.next%2 == f.Stream%2
	count := len(c.streams)
	c.mu.Unlock()
	switch {
	case f.Kind == KindOpen && (s != nil || own || c.accept == nil || count >= MaxStreams):
		return fmt.Errorf("%w: a stream that may not be opened", errProtocol)
	case f.Kind == KindOpen:
		n := newStream(c, f.Stream)
		if err := c.add(f.Stream, n); err != nil {
			return err
		}
		go c.accept(n, f.Payload)
		return nil
	case s == nil:
		return nil // it was closed on this side meanwhile
	}
	return s.receive(f)
}

func (c *Conn) add(id uint32, s sink) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return c.closed
	}
	c.streams[id] = s
	return nil
}

// register gives a sink the next number of this side.
func (c *Conn) register(make func(id uint32) sink) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed != nil:
		return 0, c.closed
	case len(c.streams) >= MaxStreams:
		return 0, errors.New("too many streams")
	}
	for c.streams[c.next] != nil {
		c.next += 2
	}
	id := c.next
	c.next += 2
	c.streams[id] = make(id)
	return id, nil
}

// Open begins a stream with a request.
func (c *Conn) Open(request any) (*Stream, error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	var s *Stream
	id, err := c.register(func(id uint32) sink {
		s = newStream(c, id)
		return s
	})
	if err != nil {
		return nil, err
	}
	if err := c.send(Frame{Kind: KindOpen, Stream: id, Payload: payload}); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// send writes one frame whole. The other side always reads, so it blocks for no longer
// than that takes. An error does not end the connection: what came before the other
// side went is still to be read.
func (c *Conn) send(f Frame) error {
	if len(f.Payload) > MaxMessage {
		return fmt.Errorf("a message of %d bytes is too long", len(f.Payload))
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.rw.Write(f.Bytes())
	return err
}

func (c *Conn) forget(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, id)
}
