package scheduler

import (
	"fmt"
	"time"

	"stack/scheduler/watch"
)

const (
	// selfTime is how soon after a start a program writes what it writes at each.
	selfTime = time.Second
	// selfTimes is how often in a row it must have.
	selfTimes = 3
)

// loopGuard finds services that are restarted for what they write themselves: only
// an inferred rule about a bind mount can do that, for ever.
type loopGuard struct {
	strikes map[int]int  // by rule
	off     map[int]bool // rules that are not followed any more
}

// watchSelf notes which rules have changes right after a start, again and again.
func (r *reloader) watchSelf(b watch.Batch) {
	if r.guard.strikes == nil {
		r.guard = loopGuard{strikes: map[int]int{}, off: map[int]bool{}}
	}
	soon := false
	for _, i := range r.instances() {
		soon = soon || b.Began.Sub(i.Started).Abs() < selfTime
	}
	hit := map[int]bool{}
	for _, c := range b.Changes {
		rule := r.rules[c.Root]
		if c.Passed || !rule.bind || hit[c.Root] || r.guard.off[c.Root] {
			continue
		}
		hit[c.Root] = true
		if !soon {
			r.guard.strikes[c.Root] = 0
			continue
		}
		if r.guard.strikes[c.Root]++; r.guard.strikes[c.Root] >= selfTimes {
			r.guard.off[c.Root] = true
			r.tell(Reload{Warning: fmt.Sprintf("it seems to write %s itself, so it is not restarted for changes there any more; "+
				"a develop.watch section says what to follow", rule.Path)})
		}
	}
}
