package scheduler

import (
	"context"
	"time"

	"stack/runtime"
)

// oomWatcher is what a runtime has that tells of memory running out while a
// container goes on: a child of its program was killed.
type oomWatcher interface {
	// OOMEvents sends after each time, until ctx ends; then the channel is closed.
	OOMEvents(ctx context.Context, id string) (<-chan struct{}, error)
}

// memoryWatch is that of one run of a container.
type memoryWatch struct {
	cancel  context.CancelFunc
	started time.Time
	told    bool // an event of this run was published
}

// watchMemory begins to watch a running container that has a limit; called under
// mu, every turn.
func (c *Controller) watchMemory(ctx context.Context, i *Instance) {
	w, ok := c.Runtime.(oomWatcher)
	if !ok || i.State != StateRunning || c.working(OpStart, i.ID) {
		return
	}
	if m := c.memory[i.ID]; m != nil && m.started.Equal(i.Started) {
		return
	}
	c.unwatchMemory(i.ID)
	m := &memoryWatch{started: i.Started, cancel: func() {}}
	c.memory[i.ID] = m
	if LimitsOf(c.serviceOf(i)).Memory == 0 {
		return // only a limit is ever reached alone
	}
	ctx, m.cancel = context.WithCancel(ctx)
	id, name, ours := i.ID, i.Name, i.Started.After(c.booted)
	c.spawn(func() {
		events, err := w.OOMEvents(ctx, id)
		if err != nil {
			if ctx.Err() == nil && !gone(err) {
				c.Log.Warn("cannot watch memory", "container", name, "error", err)
			}
			return
		}
		if st, err := c.Runtime.State(ctx, id); ours && err == nil && st.OOMKilled > 0 {
			c.ranOut(id, m) // before the watch began
		}
		for range events {
			c.ranOut(id, m)
		}
	})
}

// ranOut tells that a container ran out of memory, unless that run is over.
func (c *Controller) ranOut(id string, m *memoryWatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := c.instances[id]; ok && c.memory[id] == m {
		m.told = true
		c.publish(i, Event{Action: "oom"})
	}
}

// unwatchMemory ends the watch of a container and reports whether it told anything.
func (c *Controller) unwatchMemory(id string) (told bool) {
	if m := c.memory[id]; m != nil {
		m.cancel()
		delete(c.memory, id)
		return m.told
	}
	return false
}

// publishExit tells that a container ended. The kill that ended it was perhaps told
// already.
func (c *Controller) publishExit(i *Instance, exit runtime.Exit) {
	attr := exitAttributes(exit)
	if told := c.unwatchMemory(i.ID); exit.OOMKilled && !told {
		c.publish(i, Event{Action: "oom", Attributes: attr})
	}
	c.publish(i, Event{Action: "die", Attributes: attr})
}
