package scheduler

import "sync"

// tally counts what a controller did since it started, for Metrics.
type tally struct {
	mu         sync.Mutex
	turns      uint64
	operations map[[2]string]uint64 // by kind and "ok" or "failed"
	events     map[[2]string]uint64 // by type and action
}

func (t *tally) turn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turns++
}

func (t *tally) operation(op Op, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.operations == nil {
		t.operations = map[[2]string]uint64{}
	}
	t.operations[[2]string{string(op.Kind), result}]++
}

func (t *tally) event(ev Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events == nil {
		t.events = map[[2]string]uint64{}
	}
	t.events[[2]string{ev.Type, ev.Action}]++
}
