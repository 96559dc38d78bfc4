package netns

import "context"

// Clients bounds how many clients the proxies that share it serve at once: each holds
// descriptors and memory, and whoever reaches a port may open as many as they like.
// Further TCP clients wait in the kernel's queue of the port, UDP's are dropped.
type Clients struct {
	places chan struct{}
}

// NewClients returns room for so many.
func NewClients(most int) Clients { return Clients{make(chan struct{}, most)} }

// enter waits for a place; it reports whether there is one before ctx ends.
func (c Clients) enter(ctx context.Context) bool {
	select {
	case c.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// tryEnter takes a place if one is free.
func (c Clients) tryEnter() bool {
	select {
	case c.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c Clients) leave() { <-c.places }
