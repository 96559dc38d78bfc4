package watch

import (
	"sync"

	"github.com/fsnotify/fsnotify"
)

// longest is how many events wait for a listener, as many as the kernel keeps: who
// does not take them looks at everything.
const longest = 16384

// queue is between an instance and a listener, so that no listener holds up another.
type queue struct {
	events chan fsnotify.Event
	errs   chan error
	done   chan struct{}
	more   chan struct{}

	mu   sync.Mutex
	list []fsnotify.Event
}

func newQueue() *queue {
	q := &queue{events: make(chan fsnotify.Event), errs: make(chan error, 1), done: make(chan struct{}), more: make(chan struct{}, 1)}
	go q.run()
	return q
}

func (q *queue) put(ev fsnotify.Event) {
	q.mu.Lock()
	full := len(q.list) == longest
	if full {
		q.list = nil
	} else {
		q.list = append(q.list, ev)
	}
	q.mu.Unlock()
	if full {
		q.fail(fsnotify.ErrEventOverflow)
		return
	}
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// fail tells an error; one that waits stands for all, since everything is looked at.
func (q *queue) fail(err error) {
	select {
	case q.errs <- err:
	default:
	}
}

// run hands on what comes, in its order.
func (q *queue) run() {
	for {
		q.mu.Lock()
		list := q.list
		q.list = nil
		q.mu.Unlock()
		for _, ev := range list {
			select {
			case q.events <- ev:
			case <-q.done:
				return
			}
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-q.more:
		case <-q.done:
			return
		}
	}
}

func (q *queue) close() { close(q.done) }
