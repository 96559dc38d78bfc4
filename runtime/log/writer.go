package log

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxBatch bounds the bytes of one write(2) and so the writer's memory: short
// lines grow by a header each.
const maxBatch = 64 << 10

// Options bound a log. The zero value never rotates.
type Options struct {
	// MaxSize is the size in bytes above which a file is rotated; 0 is no bound.
	MaxSize int64
	// MaxFiles counts the files kept, the current one included; below 1 is 1.
	MaxFiles int
}

// Writer appends entries to one log. A full disk costs lines, never an error
// or a wait: what does not fit is counted, and a line tells the number when
// there is space again. Safe for concurrent use.
type Writer struct {
	path string
	opt  Options

	mu     sync.Mutex
	file   *os.File // nil while it could not be opened again after a rotation
	size   int64
	torn   bool            // the file does not end in a newline
	inLine map[string]bool // streams whose last entry was partial
	buf    []byte          // reused between writes while small
	lost   Lost
	cause  error
	now    func() time.Time
}

// Lost counts what could not be written since the log was opened or since the
// last line that told so.
type Lost struct {
	Lines int64
	Bytes int64 // of the file, headers included
}

// NewWriter opens or creates the log at path with mode 0600. A line that a
// killed writer left without its end is ended first.
func NewWriter(path string, o Options) (*Writer, error) {
	if o.MaxFiles < 1 {
		o.MaxFiles = 1
	}
	w := &Writer{path: path, opt: o, inLine: make(map[string]bool, 2), now: time.Now}
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("cannot open log: %w", err)
	}
	w.prune()
	return w, nil
}

func (w *Writer) open() error {
	const flags = os.O_RDWR | os.O_APPEND | os.O_CREATE | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(w.path, flags, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", w.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	w.file, w.size, w.torn = f, st.Size(), false
	last := []byte{'\n'}
	if w.size > 0 {
		if _, err := f.ReadAt(last, w.size-1); err == nil {
			w.torn = last[0] != '\n'
		}
	}
	return nil
}

// Stream returns the sink for one stream, "stdout" or "stderr". Each Write
// appends what it was given at once, an unfinished line as a partial entry, and
// always succeeds. Closing a stream leaves the Writer open.
func (w *Writer) Stream(name string) io.WriteCloser { return &stream{w, name} }

type stream struct {
	w    *Writer
	name string
}

func (s *stream) Write(p []byte) (int, error) {
	s.w.append(s.name, p)
	return len(p), nil
}

// Close has nothing to flush: no byte is ever held back.
func (s *stream) Close() error { return nil }

// Lost tells what has not been written and not yet been told of in the log.
func (w *Writer) Lost() Lost {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close closes the file. Writes after it are counted as lost.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = nil
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file, w.path = nil, ""
	return err
}

func (w *Writer) append(stream string, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var scratch [len(timeFormat)]byte
	stamp := w.now().UTC().AppendFormat(scratch[:0], timeFormat)
	w.told(stamp)
	b := w.buf[:0]
	for len(p) > 0 {
		var text []byte
		var partial bool
		text, p, partial = cut(p)
		if len(b) > 0 && len(b)+len(text)+maxHeader > w.batch() {
			w.flush(b)
			b = b[:0]
		}
		b = appendEntry(b, stamp, stream, partial, text)
		w.inLine[stream] = partial
	}
	w.flush(b)
	// A chatty moment must not pin its memory for a container's whole life.
	if w.buf = b; cap(b) > 1<<10 {
		w.buf = nil
	}
}

// batch is the most that one write may take: a file holds a whole batch, and grows
// beyond its limit only for an entry that alone is longer.
func (w *Writer) batch() int {
	if w.opt.MaxSize > 0 {
		return int(min(maxBatch, w.opt.MaxSize))
	}
	return maxBatch
}

// cut takes the first entry's text off p.
func cut(p []byte) (text, rest []byte, partial bool) {
	if i := bytes.IndexByte(p[:min(len(p), MaxText+1)], '\n'); i >= 0 {
		return p[:i], p[i+1:], false
	}
	n := min(len(p), MaxText)
	return p[:n], p[n:], true
}

// flush writes whole entries with one write(2) and counts those that failed.
func (w *Writer) flush(b []byte) {
	if len(b) == 0 {
		return
	}
	if rest, err := w.write(b); err != nil {
		w.cause = err
		w.lost.Lines += int64(bytes.Count(rest, []byte{'\n'}))
		w.lost.Bytes += int64(len(rest))
	}
}

// write appends b and returns what of it did not get there.
func (w *Writer) write(b []byte) ([]byte, error) {
	if err := w.rotate(int64(len(b))); err != nil {
		return b, err
	}
	if w.torn {
		if _, err := w.file.Write([]byte{'\n'}); err != nil {
			return b, err
		}
		w.size, w.torn = w.size+1, false
	}
	n, err := w.file.Write(b)
	w.size += int64(n)
	if n > 0 {
		w.torn = b[n-1] != '\n'
	}
	return b[n:], err
}

// told writes the line about losses, once that succeeds.
func (w *Writer) told(stamp []byte) {
	if w.lost == (Lost{}) {
		return
	}
	var b []byte
	if w.inLine["stderr"] {
		b = appendEntry(b, stamp, "stderr", false, nil)
	}
	b = fmt.Appendf(b, "%s stderr F stack: %d log lines (%d bytes) were lost here: %v\n",
		stamp, w.lost.Lines, w.lost.Bytes, w.cause)
	if _, err := w.write(b); err != nil {
		w.cause = err // the note is tried again, not counted
		return
	}
	w.inLine["stderr"] = false
	w.lost, w.cause = Lost{}, nil
}
