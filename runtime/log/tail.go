package log

import (
	"bytes"
	"io"
	"os"
	"time"
)

// mtimeSlack covers the coarse clock that stamps files.
const mtimeSlack = time.Second

// start positions files (oldest first) for the options and returns those that
// remain to be read; the others are closed.
func start(files []*os.File, o ReadOptions) ([]*os.File, error) {
	switch {
	case o.Tail < 0:
		return tail(files, 0)
	case o.Tail > 0:
		return tail(files, o.Tail)
	case !o.Since.IsZero():
		return skipOld(files, o.Since)
	}
	return files, nil
}

// skipOld drops rotated files that were last written before since.
func skipOld(files []*os.File, since time.Time) ([]*os.File, error) {
	for len(files) > 1 {
		info, err := files[0].Stat()
		if err != nil || !info.ModTime().Add(mtimeSlack).Before(since) {
			break
		}
		files[0].Close()
		files = files[1:]
	}
	return files, nil
}

// tail positions the files at the start of the n-th last line, reading
// backwards from the end of the newest.
func tail(files []*os.File, n int) ([]*os.File, error) {
	c := counter{want: n}
	for i := len(files) - 1; i >= 0; i-- {
		off, done, err := c.scan(files[i])
		if err == nil {
			_, err = files[i].Seek(off, io.SeekStart)
		}
		if err != nil {
			return files, err
		}
		if done {
			closeAll(files[:i])
			return files[i:], nil
		}
	}
	return files, nil
}

// counter counts lines of text from the end: an entry that ends a line begins
// a new one (backwards), and so does a partial entry nothing follows.
type counter struct {
	want int
	have int
	any  bool
}

// scan looks at f's lines from its end to its start. done tells that off is
// where the wanted lines begin.
func (c *counter) scan(f *os.File) (off int64, done bool, err error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, false, err
	}
	var carry []byte // the bytes before end whose line start is not yet seen
	pos := end
	for pos > 0 {
		n := min(pos, readSize)
		chunk := make([]byte, n, n+int64(len(carry)))
		if _, err := f.ReadAt(chunk, pos-n); err != nil {
			return 0, false, err
		}
		pos -= n
		carry = append(chunk, carry...)
		if carry, done = c.lines(carry, pos == 0); done {
			return pos + int64(len(carry)), true, nil
		}
		if len(carry) > maxLine {
			carry = carry[:0]
		}
	}
	return 0, false, nil
}

// lines counts the whole lines at b's end and returns the rest. When done, the
// rest ends where the wanted lines begin. A torn line at the very end of the
// file belongs to what is read later and does not count.
func (c *counter) lines(b []byte, first bool) (rest []byte, done bool) {
	for len(b) > 0 {
		i := bytes.LastIndexByte(b[:len(b)-1], '\n')
		if i < 0 && !first {
			return b, false
		}
		line := b[i+1:]
		if line[len(line)-1] == '\n' && c.full(line) {
			return b, true
		}
		b = b[:i+1]
	}
	return b, false
}

// full tells whether line lies before the wanted lines.
func (c *counter) full(line []byte) bool {
	e, err := ParseLine(line)
	if err != nil {
		return false
	}
	if !e.Partial || !c.any {
		if c.have == c.want {
			return true
		}
		c.have++
	}
	c.any = true
	return false
}
