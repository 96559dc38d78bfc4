package scheduler

import (
	"context"
	"errors"
	"time"
)

var errChangedMeanwhile = errors.New("another command changed the stack meanwhile: save the file again")

// watchStack carries out VerbLive: until the client goes or the project is down.
func (c *Controller) watchStack(ctx context.Context, cmd Command, reply func(Reply)) error {
	if c.Live == nil || cmd.Live == nil {
		return errors.New("the stack file cannot be followed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := c.newLive(*cmd.Live, func(r LiveReport) { reply(Reply{Live: &r}) })
	c.follows(l)
	defer c.unfollow(l)
	c.spawn(func() {
		_ = c.await(ctx, 0, func(time.Time) (bool, error) { return c.ended || c.want.Down, nil })
		cancel()
	})
	l.run(ctx)
	return nil
}

// follows makes l the one that edits are approved of; the recorded one, if any, rests
// meanwhile.
func (c *Controller) follows(l *live) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = l
	c.restLive()
}

func (c *Controller) unfollow(l *live) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == l {
		c.live = nil
		c.resumeLive()
	}
}

// resumeLive follows the recorded source, unless a client's is followed; called
// under mu.
func (c *Controller) resumeLive() {
	c.restLive()
	src := c.want.Live
	if src == nil || c.Live == nil || c.live != nil || c.want.Down || c.ended || c.running == nil {
		return
	}
	ctx, cancel := context.WithCancel(c.running)
	l := c.newLive(*src, func(LiveReport) {})
	c.resting = cancel
	c.spawn(func() { l.run(ctx) })
}

// restLive ends the following of the recorded source; called under mu.
func (c *Controller) restLive() {
	if c.resting != nil {
		c.resting()
		c.resting = nil
	}
}

// keepsLive reports whether edits are to be seen though nothing runs; called under mu.
func (c *Controller) keepsLive() bool {
	if c.want.Live == nil || c.want.Down {
		return false
	}
	for _, sw := range c.want.Services {
		if sw.Goal == GoalRun {
			return true
		}
	}
	return false
}

// approve carries out VerbApprove.
func (c *Controller) approve(ctx context.Context, cmd Command) error {
	c.mu.Lock()
	l := c.live
	c.mu.Unlock()
	if l == nil {
		return errors.New("no edit waits")
	}
	a := agreement{id: cmd.Approve, answer: make(chan error, 1)}
	select {
	case l.agreed <- a:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
