package main

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// lingering is how long output of an ended program is waited for: a child of it may
// hold the pipe open for ever.
const lingering = 100 * time.Millisecond

// pump copies a program's output until its end.
type pump struct {
	src  *os.File
	dst  io.Writer
	over atomic.Bool
	done chan struct{}
}

// startPump takes over src, a pipe or a terminal's master.
func startPump(dst io.Writer, src *os.File) *pump {
	p := &pump{src: src, dst: dst, done: make(chan struct{})}
	go p.run()
	return p
}

func (p *pump) run() {
	defer close(p.done)
	defer p.src.Close()
	buf := make([]byte, 32<<10)
	for {
		over := p.over.Load()
		if over {
			p.src.SetReadDeadline(time.Now().Add(lingering))
		}
		n, err := p.src.Read(buf)
		if n > 0 {
			if _, err := p.dst.Write(buf[:n]); err != nil {
				return // nobody reads any more: the program gets SIGPIPE
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && !over {
			continue // the program ended during this read
		}
		if err != nil { // also EIO, the end of a terminal
			return
		}
	}
}

// finish waits until everything that the ended program wrote has been copied.
func (p *pump) finish() {
	p.over.Store(true)
	p.src.SetReadDeadline(time.Now().Add(lingering))
	<-p.done
}

// plumbing is a program's standard streams as pipes that are copied from and to
// this process's own, so that the program may be given them for its own.
type plumbing struct {
	// stdin, stdout and stderr are the program's ends; stdin may be nil.
	stdin, stdout, stderr *os.File
	pumps                 []*pump
}

// lay makes the pipes and begins to copy.
func (a *app) lay(input bool) (_ *plumbing, err error) {
	p := &plumbing{}
	defer func() {
		if err != nil {
			p.handedOver()
		}
	}()
	if input {
		var w *os.File
		if p.stdin, w, err = os.Pipe(); err != nil {
			return nil, err
		}
		go feed(w, a.stdin)
	}
	if p.stdout, err = p.output(a.stdout); err != nil {
		return nil, err
	}
	if p.stderr, err = p.output(a.stderr); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *plumbing) output(to io.Writer) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.pumps = append(p.pumps, startPump(to, r))
	return w, nil
}

// feed copies input to a program and tells it of the end.
func feed(w *os.File, from io.Reader) {
	defer w.Close()
	io.Copy(w, from)
}

// handedOver closes the program's ends on this side.
func (p *plumbing) handedOver() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

func (p *plumbing) finish() {
	for _, pump := range p.pumps {
		pump.finish()
	}
}
