package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// ErrNoShim says that no shim listens in a directory.
var ErrNoShim = errors.New("no shim is running")

// ErrGone says that the connection to the shim broke: it died, or its last
// answer was not awaited.
var ErrGone = errors.New("shim is gone")

// Client speaks to one shim over one connection; requests are answered one
// after the other. Safe for concurrent use. A request whose context ends early breaks
// the connection. Descriptors passed in remain the caller's.
type Client struct {
	dir string

	mu   sync.Mutex
	conn *packetConn // nil once broken
}

// Process identifies a container's first process.
type Process struct {
	ID  string
	Pid int
	// StartTime is 0 when not known; only right after the process was made.
	StartTime uint64
	// Exit is the absolute path of the exit record to be written.
	Exit string
}

// LogConfig says where output is logged; an empty Path discards it.
type LogConfig struct {
	Path     string
	MaxSize  int64
	MaxFiles int
	// StdinOnce is described at Request.
	StdinOnce bool
}

// Attach says what to attach.
type Attach struct {
	// Stdout and Stderr are write ends of pipes that output from now on is also
	// written to, until the container ends or the pipe has no reader. A terminal
	// has Stdout only. What no reader takes holds up the container, unless Lossy.
	Stdout, Stderr *os.File
	// Stdin asks for the container's input or terminal.
	Stdin bool
	Lossy bool
}

// Dial connects to the shim of dir. Errors: ErrNoShim.
func Dial(dir string) (*Client, error) {
	conn, err := dial(dir)
	if err != nil {
		return nil, err
	}
	return &Client{dir: dir, conn: conn}, nil
}

func dial(dir string) (*packetConn, error) {
	fd, err := unixSocket(dir, "shim.sock", unix.SOCK_SEQPACKET, func(fd int, sa unix.Sockaddr) error {
		return retry(func() error { return unix.Connect(fd, sa) })
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("cannot reach shim in %q: %w", dir, ErrNoShim)
	case err != nil:
		return nil, fmt.Errorf("cannot reach shim in %q: %w", dir, err)
	}
	return newPacketConn(fd)
}

// Close ends the connection; what the shim was given it keeps.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}

// answerPatience is how long an answer may take whose asker has lost interest. To
// give up the connection is to give up the shim: what else it holds hangs on it.
const answerPatience = time.Second

// call sends r and calls answer with each response packet, whose descriptors
// answer takes over. The end of ctx does not take an answer under way from those
// who use the same connection.
func (c *Client) call(ctx context.Context, r Request, fds []int, answer func(Response, []int)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return fmt.Errorf("cannot %s: %w", r.Op, ErrGone)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot %s: %w", r.Op, err)
	}
	err := c.conn.within(ctx, func() error { return exchange(c.conn, r, fds, answer) })
	var refused *refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.error()
	}
	c.conn.Close()
	c.conn = nil
	if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("cannot %s: %w", r.Op, ctx.Err())
	}
	return fmt.Errorf("cannot %s: %w: %w", r.Op, ErrGone, err)
}

// within gives do answerPatience from the end of ctx on.
func (c *packetConn) within(ctx context.Context, do func() error) error {
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.file.SetDeadline(time.Now().Add(answerPatience))
		close(late)
	})
	err := do()
	if !stop() {
		<-late
		_ = c.file.SetDeadline(time.Time{})
	}
	return err
}

// refusal is an error the shim answered; the connection is in order.
type refusal struct{ resp Response }

func (r *refusal) Error() string { return r.resp.Error }

func (r *refusal) error() error {
	if r.resp.NotFound {
		return &notFound{r.resp.Error}
	}
	return errors.New(r.resp.Error)
}

// notFound carries the shim's text and is runtime.ErrNotFound.
type notFound struct{ text string }

func (e *notFound) Error() string { return e.text }
func (e *notFound) Unwrap() error { return runtime.ErrNotFound }

func exchange(conn *packetConn, r Request, fds []int, answer func(Response, []int)) error {
	if err := conn.send(r, fds); err != nil {
		return err
	}
	for {
		var resp Response
		got, err := conn.receive(&resp)
		if err == nil && resp.Error != "" {
			err = &refusal{resp}
		}
		if err != nil {
			closeFDs(got)
			return err
		}
		if answer != nil {
			answer(resp, got)
		} else {
			closeFDs(got)
		}
		if !resp.More {
			return nil
		}
	}
}

// withFiles calls do with the files' descriptors, which stay open and in their
// blocking mode.
func withFiles(files []*os.File, do func(fds []int) error) error {
	fds := make([]int, 0, len(files))
	defer func() { closeFDs(fds) }()
	for _, f := range files {
		fd, err := dupFile(f)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	return do(fds)
}

// first returns an answer function that keeps the first descriptor in *f.
func first(f **os.File, name string) func(Response, []int) {
	return func(_ Response, fds []int) {
		if len(fds) > 0 {
			*f = os.NewFile(uintptr(fds[0]), name)
			closeFDs(fds[1:])
		}
	}
}

// Hello asks the shim who it is.
func (c *Client) Hello(ctx context.Context) (Response, error) {
	var r Response
	err := c.call(ctx, Request{Op: OpHello}, nil, func(resp Response, fds []int) {
		r = resp
		closeFDs(fds)
	})
	return r, err
}

// Adopt tells the shim whose exit that process's is. It returns a pidfd, nil
// when the process has exited already and its record is written.
func (c *Client) Adopt(ctx context.Context, p Process) (*os.File, error) {
	return c.adopt(ctx, adoptRequest(p), nil)
}

func adoptRequest(p Process) Request {
	return Request{Op: OpAdopt, ID: p.ID, Pid: p.Pid, StartTime: p.StartTime, Exit: p.Exit}
}

func (c *Client) adopt(ctx context.Context, r Request, fds []int) (pidfd *os.File, err error) {
	err = c.call(ctx, r, fds, first(&pidfd, "pidfd"))
	return pidfd, err
}

// Stdio gives the shim its side of s to copy from.
func (c *Client) Stdio(ctx context.Context, id string, l LogConfig, s *Stdio) error {
	r := stdioRequest(id, l)
	names, files := s.ends()
	r.Streams = names
	return withFiles(files, func(fds []int) error { return c.call(ctx, r, fds, nil) })
}

// Terminal gives the shim a terminal's master to copy from.
func (c *Client) Terminal(ctx context.Context, id string, l LogConfig, master *os.File) error {
	r := stdioRequest(id, l)
	r.Terminal = true
	return withFiles([]*os.File{master}, func(fds []int) error { return c.call(ctx, r, fds, nil) })
}

func stdioRequest(id string, l LogConfig) Request {
	return Request{
		Op: OpStdio, ID: id, Log: l.Path, MaxSize: l.MaxSize, MaxFiles: l.MaxFiles, StdinOnce: l.StdinOnce,
	}
}

// Attach copies output to pipes and, when asked, returns the container's
// input. Errors: runtime.ErrNotFound when it does not run.
func (c *Client) Attach(ctx context.Context, id string, a Attach) (stdin *os.File, err error) {
	s := Stdio{Out: a.Stdout, Err: a.Stderr}
	names, files := s.ends()
	r := Request{Op: OpAttach, ID: id, Streams: names, Stdin: a.Stdin, Lossy: a.Lossy}
	err = withFiles(files, func(fds []int) error { return c.call(ctx, r, fds, first(&stdin, "stdin")) })
	return stdin, err
}

// Hold makes the shim keep a duplicate of f under name.
func (c *Client) Hold(ctx context.Context, name string, f *os.File) error {
	return withFiles([]*os.File{f}, func(fds []int) error {
		return c.call(ctx, Request{Op: OpHold, Name: name}, fds, nil)
	})
}

// Taken is what a shim holds.
type Taken struct {
	// Files are duplicates, by name; those of containers are named KIND/ID.
	Files map[string]*os.File
	// Known are the adopt and stdio requests in force.
	Known []Request
}

// Take returns duplicates of everything held.
func (c *Client) Take(ctx context.Context) (Taken, error) {
	t := Taken{Files: map[string]*os.File{}}
	err := c.call(ctx, Request{Op: OpTake}, nil, func(r Response, fds []int) {
		for i, fd := range fds {
			if i < len(r.Names) {
				t.Files[r.Names[i]] = os.NewFile(uintptr(fd), r.Names[i])
			} else {
				unix.Close(fd)
			}
		}
		t.Known = append(t.Known, r.Known...)
	})
	if err != nil {
		for _, f := range t.Files {
			f.Close()
		}
		return Taken{}, err
	}
	return t, nil
}

// Release makes the shim close what it holds under name.
func (c *Client) Release(ctx context.Context, name string) error {
	return c.call(ctx, Request{Op: OpRelease, Name: name}, nil, nil)
}

// Forget makes the shim drop everything it knows of a container.
func (c *Client) Forget(ctx context.Context, id string) error {
	return c.call(ctx, Request{Op: OpForget, ID: id}, nil, nil)
}

// Stop ends the supervision; the shim exits when its last child has.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, Request{Op: OpStop}, nil, nil)
}

// Wake returns a channel that holds the number of exits so far after each
// change, and is closed when the shim is gone or ctx ends. The value is no truth to
// act on but a reason to look at the exit records.
func (c *Client) Wake(ctx context.Context) (<-chan uint64, error) {
	out := make(chan uint64, 1)
	var last uint64
	err := c.listen(ctx, func(r Response) {
		if r.Exits == last {
			return // it tells of something dropped
		}
		last = r.Exits
		select {
		case <-out: // the newer number replaces an unread one
		default:
		}
		out <- r.Exits
	}, func() { close(out) })
	return out, err
}

// listen calls told for each wake packet from a connection of its own, and gone
// at its end.
func (c *Client) listen(ctx context.Context, told func(Response), gone func()) error {
	conn, err := dial(c.dir)
	if err != nil {
		return err
	}
	if err := exchange(conn, Request{Op: OpWake}, nil, nil); err != nil {
		conn.Close()
		return fmt.Errorf("cannot wait for exits: %w: %w", ErrGone, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer gone()
		defer conn.Close()
		defer stop()
		for {
			var r Response
			fds, err := conn.receive(&r)
			closeFDs(fds)
			if err != nil {
				return
			}
			told(r)
		}
	}()
	return nil
}
