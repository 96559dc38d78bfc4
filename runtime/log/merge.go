package log

import (
	"context"
	"errors"
	"io"
)

// Merger orders the entries of several readers by time.
type Merger struct {
	readers []*Reader
	heads   []head
}

type head struct {
	entry Entry
	state headState
}

type headState int

const (
	unread headState = iota
	ready
	ended
)

// Merge orders what the readers hold at the moment, by time; entries of one
// reader keep their order. It does not wait: after io.EOF each following reader
// is positioned at what comes later, to be read with its own Next.
func Merge(readers ...*Reader) *Merger {
	return &Merger{readers: readers, heads: make([]head, len(readers))}
}

// Next returns the earliest entry and the index of its reader; io.EOF after
// the last one.
func (m *Merger) Next(ctx context.Context) (int, Entry, error) {
	if err := ctx.Err(); err != nil {
		return 0, Entry{}, err
	}
	best := -1
	for i := range m.heads {
		if err := m.read(i); err != nil {
			return i, Entry{}, err
		}
		if m.heads[i].state != ready {
			continue
		}
		if best < 0 || m.heads[i].entry.Time.Before(m.heads[best].entry.Time) {
			best = i
		}
	}
	if best < 0 {
		return 0, Entry{}, io.EOF
	}
	m.heads[best].state = unread
	return best, m.heads[best].entry, nil
}

// read fills the i-th head. A reader found empty once is not asked again, so
// that a busy container cannot keep the merge from ending.
func (m *Merger) read(i int) error {
	h := &m.heads[i]
	if h.state != unread {
		return nil
	}
	e, err := m.readers[i].poll()
	switch {
	case err == nil:
		h.entry, h.state = e, ready
	case errors.Is(err, errDrained), errors.Is(err, io.EOF):
		h.state = ended
	default:
		return err
	}
	return nil
}
