package scheduler

import (
	"sync"
	"time"
)

// Event is something that happened, for people and programs that watch. Events
// carry no truth: whoever needs the state observes it.
type Event struct {
	Time time.Time `json:"time"`
	// Type is "container", "network", "volume", "image", "service" or "stack".
	Type string `json:"type"`
	// Action is Docker's word where it has one: create, start, die, oom, kill,
	// stop, restart, destroy, pause, unpause, health_status: healthy, …; and
	// ActionRepair.
	Action  string `json:"action"`
	Project string `json:"project"`
	Service string `json:"service,omitempty"`
	// Name and ID are the object's.
	Name string `json:"name,omitempty"`
	ID   string `json:"id,omitempty"`
	// Progress is the word shown while a command runs: Creating, Created, …
	Progress string `json:"progress,omitempty"`
	Error    string `json:"error,omitempty"`
	// Warnings are what this machine could not do as asked.
	Warnings   []string          `json:"warnings,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// ActionRepair tells that something of the object was taken away or altered by
// somebody on the host, and made again; what, is attribute "fault". With an Error it
// could not be.
const ActionRepair = "repair"

// Bus hands events to whoever listens. A listener that does not keep up loses its
// oldest events, never delays the controller.
type Bus struct {
	mu        sync.Mutex
	listeners map[*listener]struct{}
}

type listener struct {
	events  []Event
	notify  chan struct{}
	dropped int
}

// maxPending bounds the events kept for one slow listener.
const maxPending = 4096

// Publish hands ev to every listener.
func (b *Bus) Publish(ev Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		if len(l.events) >= maxPending {
			l.events = l.events[1:]
			l.dropped++
		}
		l.events = append(l.events, ev)
		select {
		case l.notify <- struct{}{}:
		default:
		}
	}
}

// Subscription is one listener's view of the bus.
type Subscription struct {
	bus *Bus
	l   *listener
	// C receives a value whenever events wait in Take.
	C <-chan struct{}
}

// Subscribe begins to collect events; Close ends it.
func (b *Bus) Subscribe() *Subscription {
	l := &listener{notify: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = map[*listener]struct{}{}
	}
	b.listeners[l] = struct{}{}
	return &Subscription{bus: b, l: l, C: l.notify}
}

// Take returns the events collected since the last call.
func (s *Subscription) Take() []Event {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	events := s.l.events
	s.l.events = nil
	return events
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.listeners, s.l)
}
