package image

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// Progress is news of one layer under way.
type Progress struct {
	// Layer is the beginning of the layer's digest, as people see it.
	Layer string
	// Status is Docker's word: Waiting, Downloading, Download complete, Extracting,
	// Pull complete, Already exists; Pushing, Pushed, Layer already exists, Mounted.
	Status         string
	Current, Total int64 // bytes; both zero where nothing is counted
}

// every is the least time between two messages of one meter.
const every = 100 * time.Millisecond

// oneAtATime makes say safe for layers side by side.
func oneAtATime(say func(Progress)) func(Progress) {
	if say == nil {
		return nil
	}
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		say(p)
	}
}

// meter counts what passes and tells of it now and then. A nil meter is silent.
type meter struct {
	say func(Progress)

	mu   sync.Mutex
	now  Progress
	last time.Time
}

func newMeter(say func(Progress), layer string, total int64) *meter {
	if say == nil {
		return nil
	}
	return &meter{say: say, now: Progress{Layer: layer, Total: total}}
}

// begin starts to count anew under another status.
func (m *meter) begin(status string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Status, m.now.Current, m.last = status, 0, time.Now()
	m.say(m.now)
}

// end tells the last status.
func (m *meter) end(status string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = Progress{Layer: m.now.Layer, Status: status, Total: m.now.Total, Current: m.now.Total}
	m.say(m.now)
}

func (m *meter) add(n int64) {
	if m == nil || n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Current += n
	if t := time.Now(); t.Sub(m.last) >= every {
		m.last = t
		m.say(m.now)
	}
}

// Write counts.
func (m *meter) Write(p []byte) (int, error) {
	m.add(int64(len(p)))
	return len(p), nil
}

func bytesSource(data []byte) source {
	return func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[offset:])), nil
	}
}

// reader counts what is read from r.
func (m *meter) reader(r io.Reader) io.Reader {
	if m == nil {
		return r
	}
	return io.TeeReader(r, m)
}
