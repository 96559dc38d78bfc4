package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Notifier wakes a follower when a file may have changed. Package notify has
// the one for real use.
type Notifier interface {
	// Watch returns a channel that holds a value after path or a rotation of it
	// was created, renamed or written to, and a function that ends the watch.
	// path's directory must exist, path need not.
	Watch(path string) (<-chan struct{}, func(), error)
}

// ReadOptions select entries. The zero value is everything there is now.
type ReadOptions struct {
	// Since and Until bound the entries' times, both included; zero is no bound.
	Since, Until time.Time
	// Tail is the number of last lines to start with: 0 is all, negative none.
	Tail int
	// Follow waits for further entries, through Notifier, until the context of
	// Next ends, Until passes or Done is closed.
	Follow   bool
	Notifier Notifier
	// Done, when closed, says that nothing more will be written: what is there
	// is still returned, then io.EOF.
	Done <-chan struct{}
}

// Reader returns a log's entries in the order written, across rotations. It
// loses a line only when more files were rotated away than the writer keeps,
// while nobody called Next. Not safe for concurrent use.
type Reader struct {
	path string
	opt  ReadOptions

	cur   *os.File   // being read; nil before the log exists
	queue []*os.File // to be read after cur, oldest first
	buf   []byte     // bytes read and not yet returned

	events  <-chan struct{}
	unwatch func()
}

// errDrained is returned by poll when there is nothing more at this moment.
var errDrained = errors.New("no entry yet")

// readSize is the unit of reading; maxLine bounds a line, far above what
// Writer writes, so that a foreign file cannot exhaust memory.
const (
	readSize = 32 << 10
	maxLine  = 1 << 20
)

// Open opens the log at path. Without Follow a log that does not exist is
// fs.ErrNotExist; with Follow its directory must exist.
func Open(path string, o ReadOptions) (*Reader, error) {
	r := &Reader{path: path, opt: o, unwatch: func() {}}
	if o.Follow {
		if o.Notifier == nil {
			return nil, errors.New("cannot follow log: no notifier")
		}
		var err error
		if r.events, r.unwatch, err = o.Notifier.Watch(path); err != nil {
			return nil, fmt.Errorf("cannot follow log: %w", err)
		}
	}
	files, err := openChain(path, nil)
	if err == nil && len(files) == 0 && !o.Follow {
		err = fs.ErrNotExist
	}
	if err == nil {
		files, err = start(files, o)
	}
	if err != nil {
		closeAll(files)
		r.unwatch()
		return nil, fmt.Errorf("cannot read log %q: %w", path, err)
	}
	r.queue = files
	return r, nil
}

// Next returns the next entry; io.EOF when there are no more. Lines that are
// no entries (torn by a crash) are passed over.
func (r *Reader) Next(ctx context.Context) (Entry, error) {
	timeout, stop := r.untilTimer()
	defer stop()
	for last := false; ; {
		e, err := r.poll()
		switch {
		case !errors.Is(err, errDrained):
			return e, err
		case last || !r.opt.Follow:
			return Entry{}, io.EOF
		}
		select {
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		case <-r.events:
		case <-r.opt.Done:
			last = true
		case <-timeout:
			last = true
		}
	}
}

// Close releases the descriptors. It must not run beside Next.
func (r *Reader) Close() error {
	r.unwatch()
	closeAll(r.queue)
	if r.cur != nil {
		r.cur.Close()
	}
	r.cur, r.queue = nil, nil
	return nil
}

func (r *Reader) untilTimer() (<-chan time.Time, func()) {
	if !r.opt.Follow || r.opt.Until.IsZero() {
		return nil, func() {}
	}
	t := time.NewTimer(time.Until(r.opt.Until))
	return t.C, func() { t.Stop() }
}

// poll returns the next entry that is there now, or errDrained.
func (r *Reader) poll() (Entry, error) {
	for {
		line, err := r.line()
		if err != nil {
			return Entry{}, err
		}
		e, err := ParseLine(line)
		if err != nil || e.Time.Before(r.opt.Since) {
			continue
		}
		if !r.opt.Until.IsZero() && e.Time.After(r.opt.Until) {
			if r.opt.Follow {
				return Entry{}, io.EOF
			}
			continue // the clock may have been set back since
		}
		return e, nil
	}
}

// line returns the next complete line, valid until the next call.
func (r *Reader) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(r.buf, '\n'); i >= 0 || len(r.buf) > maxLine {
			if i < 0 {
				i = len(r.buf) - 1
			}
			line := r.buf[:i+1]
			r.buf = r.buf[i+1:]
			return line, nil
		}
		more, err := r.fill()
		if err != nil {
			return nil, err
		}
		if !more {
			return nil, errDrained
		}
	}
}

// fill reads on, moving to the next file where one ends.
func (r *Reader) fill() (more bool, err error) {
	for {
		if n, err := r.read(); n > 0 || err != nil {
			return n > 0, err
		}
		// At the end of cur. It is really the end only if a successor existed
		// before that was seen: look for one, then read once more.
		if len(r.queue) == 0 {
			if !r.opt.Follow {
				return false, nil
			}
			next, err := successors(r.path, r.cur)
			if err != nil {
				return false, fmt.Errorf("cannot follow log %q: %w", r.path, err)
			}
			if len(next) == 0 {
				return false, nil
			}
			r.queue = next
			continue
		}
		if r.cur != nil {
			r.cur.Close()
		}
		r.cur, r.queue = r.queue[0], r.queue[1:]
		r.buf = r.buf[:0] // a torn last line
	}
}

func (r *Reader) read() (int, error) {
	if r.cur == nil {
		return 0, nil
	}
	if cap(r.buf)-len(r.buf) < 4<<10 {
		r.buf = append(make([]byte, 0, len(r.buf)+readSize), r.buf...)
	}
	n, err := r.cur.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if err == io.EOF {
		err = nil
	}
	return n, err
}
