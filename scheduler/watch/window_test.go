package watch

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	for name, c := range map[string]struct {
		saw       []time.Duration
		n         int
		refilling bool
		want      time.Duration
	}{
		"a single save is told at once":          {saw: []time.Duration{0}, n: 1, want: quiet},
		"what follows at once belongs to it":     {saw: []time.Duration{0, time.Millisecond}, n: 2, want: time.Millisecond + quiet},
		"a burst is waited for":                  {saw: []time.Duration{0, time.Millisecond}, n: 1000, want: time.Millisecond + quietBurst},
		"a file that never rests is told":        {saw: []time.Duration{0, patience - time.Millisecond}, n: 1, want: patience},
		"a burst that never ends is told":        {saw: []time.Duration{0, patienceBurst - time.Millisecond}, n: burst + 1, want: patienceBurst},
		"an emptied file is given time":          {saw: []time.Duration{0}, n: 1, refilling: true, want: refill},
		"an emptied file is not waited for long": {saw: []time.Duration{0, patience}, n: 1, refilling: true, want: patience},
	} {
		var w window
		for _, d := range c.saw {
			w.saw(at(d))
		}
		w.refilling = c.refilling
		if got := w.due(c.n).Sub(start); got != c.want {
			t.Errorf("%s: due after %v, not %v", name, got, c.want)
		}
	}
	if due := new(window).due(0); !due.IsZero() {
		t.Errorf("nothing waits, but is due at %v", due)
	}
}
