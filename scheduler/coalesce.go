package scheduler

import (
	"context"
	"sync"
)

// coalescer runs one function for many askers: those who ask while it runs share
// the next run, which sees all that they want. Fifty replicas that start together
// then cost a few firewall transactions, not fifty.
type coalescer struct {
	run    func(ctx context.Context) error
	mu     sync.Mutex
	next   *round        // waiting to run; nil when nobody asked since the last began
	idle   chan struct{} // nil, or closed when the loop under way has ended
	busy   bool
	closed bool
}

type round struct {
	done chan struct{}
	err  error
}

func newCoalescer(run func(ctx context.Context) error) *coalescer { return &coalescer{run: run} }

// Ask requests a run and returns at once.
func (c *coalescer) Ask() { c.join(context.Background()) }

// Do requests a run that begins after this call and returns its result.
func (c *coalescer) Do(ctx context.Context) error {
	r := c.join(ctx)
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close waits for what is under way and lets nothing follow: those who ask from now
// on are answered at once.
func (c *coalescer) Close() {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

func (c *coalescer) join(ctx context.Context) *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		r := &round{done: make(chan struct{})}
		close(r.done)
		return r
	}
	if c.next == nil {
		c.next = &round{done: make(chan struct{})}
	}
	r := c.next
	if !c.busy {
		c.busy, c.idle = true, make(chan struct{})
		go c.loop(context.WithoutCancel(ctx))
	}
	return r
}

func (c *coalescer) loop(ctx context.Context) {
	for {
		c.mu.Lock()
		r := c.next
		c.next = nil
		if r == nil {
			c.busy = false
			close(c.idle)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		r.err = c.run(ctx)
		close(r.done)
	}
}
