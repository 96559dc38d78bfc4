package watch

import "time"

const (
	// quiet is for how long nothing may change before a single save is told.
	quiet = 4 * time.Millisecond
	// burst is the number of files from which on more are expected to follow.
	burst      = 16
	quietBurst = 30 * time.Millisecond
	// A file that never rests holds the others up no longer than patience, a burst
	// than patienceBurst.
	patience      = 100 * time.Millisecond
	patienceBurst = time.Second
	// refill is what an emptied file is given to be written again.
	refill = 25 * time.Millisecond
	// patienceLocked is how long a burst waits for git to be done.
	patienceLocked = 10 * time.Second
)

// window decides when changes have come to rest. It reads no clock.
type window struct {
	first, last time.Time
	// refilling is set while a file holds nothing that held something before.
	refilling bool
	// locked is set while git changes files.
	locked bool
}

// saw notes a change.
func (w *window) saw(now time.Time) {
	if w.first.IsZero() {
		w.first = now
	}
	w.last = now
}

// due is when n changed files are to be told; zero when nothing waits.
func (w *window) due(n int) time.Time {
	if w.first.IsZero() {
		return time.Time{}
	}
	rest, most := quiet, patience
	if n > burst {
		rest, most = quietBurst, patienceBurst
	}
	if w.refilling {
		rest = refill
	}
	if w.locked && n > burst {
		most = patienceLocked
	}
	at, latest := w.last.Add(rest), w.first.Add(most)
	if at.After(latest) {
		return latest
	}
	return at
}
