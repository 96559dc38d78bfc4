package wire

import (
	"fmt"
	"io"
	"sync"
)

// Splice makes the one stream of rw a stream of c: who speaks on rw speaks with c's
// other side. open is the first frame, which came from rw. It returns when either
// has ended, having closed rw.
func (c *Conn) Splice(rw io.ReadWriteCloser, open Frame) error {
	defer rw.Close()
	p := &pipe{rw: rw, local: open.Stream}
	p.changed.L = &p.mu
	id, err := c.register(func(uint32) sink { return p })
	if err != nil {
		return err
	}
	defer c.forget(id)
	go p.write()
	open.Stream = id
	for f := open; ; {
		if err := c.send(f); err != nil {
			return err
		}
		if f.Kind == KindClose {
			return nil
		}
		if f, err = ReadFrame(rw); err != nil {
			p.lost(err)
			return c.send(Frame{Kind: KindClose, Stream: id})
		}
		f.Stream = id
	}
}

// pipe queues frames for rw. Who keeps to the windows never fills it.
type pipe struct {
	rw    io.ReadWriteCloser
	local uint32

	mu      sync.Mutex
	changed sync.Cond
	queue   [][]byte
	size    int
	ended   bool
}

// maxQueued is three channels' windows, and messages.
const maxQueued = 4*Window + 1<<20

func (p *pipe) receive(f Frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.Stream = p.local
	b := f.Bytes()
	if p.size += len(b); p.size > maxQueued {
		return fmt.Errorf("%w: more data than may be sent", errProtocol)
	}
	p.queue = append(p.queue, b)
	p.ended = p.ended || f.Kind == KindClose
	p.changed.Broadcast()
	return nil
}

func (p *pipe) lost(error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.changed.Broadcast()
}

func (p *pipe) write() {
	defer p.rw.Close()
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && !p.ended {
			p.changed.Wait()
		}
		if len(p.queue) == 0 {
			p.mu.Unlock()
			return
		}
		b := p.queue[0]
		p.queue, p.size = p.queue[1:], p.size-len(b)
		p.mu.Unlock()
		if _, err := p.rw.Write(b); err != nil {
			return
		}
	}
}
