package scheduler

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"stack/netns"
)

// healing looks for what somebody took away or altered on the host and has it made
// again. Package netns says when there may be something; a look follows at once,
// unless the last one was a moment ago: then it waits, longer where look after look
// finds something, for somebody fights with us.
type healing struct {
	news   bool // there was a reason to look since the last look began
	busy   bool // a look is under way
	next   time.Time
	strife int // looks in a row that found something
}

const (
	healPause = 100 * time.Millisecond // between two looks, at least
	healMost  = 500 * time.Millisecond // at most: a loss is repaired within a second
	// healRetry is the pause after a repair that failed.
	healRetry = 5 * time.Second
)

// pause is how long after a look that took so long no other begins.
func (h *healing) pause(took time.Duration) time.Duration {
	return min(max(healPause<<min(h.strife, 3), 9*took), healMost)
}

// suspect is told of a reason to look.
func (c *Controller) suspect() {
	c.mu.Lock()
	c.healing.news = true
	c.mu.Unlock()
	c.nudge()
}

// heal begins a look where there is a reason; called under mu, every turn. It
// returns when to call again. What is being changed on purpose is not looked at.
func (c *Controller) heal(ctx context.Context, now time.Time) (again time.Duration) {
	h := &c.healing
	if !h.news || h.busy || c.want.Down || !c.applied || c.changesNetworks() {
		return 0
	}
	if wait := h.next.Sub(now); wait > 0 {
		return wait
	}
	h.news, h.busy = false, true
	live := c.plugIns()
	c.spawn(func() { c.lookAtNetwork(ctx, live) })
	return 0
}

// changesNetworks reports whether an operation on networks is under way.
func (c *Controller) changesNetworks() bool {
	for _, op := range c.inFlight {
		if op.Kind == OpNetwork || op.Kind == OpNetworkAlter || op.Kind == OpNetworkRemove {
			return true
		}
	}
	return false
}

// plugIns are the running containers with interfaces; called under mu.
func (c *Controller) plugIns() []Instance {
	var out []Instance
	for _, i := range c.sorted() {
		if i.live() && !c.opening[i.ID] && len(i.Endpoints) > 0 {
			out = append(out, *i)
		}
	}
	return out
}

// lostMeanwhile are the faults that the first Apply is about to repair: nobody looked
// while there was no controller.
func (c *Controller) lostMeanwhile(ctx context.Context) []netns.Fault {
	c.mu.Lock()
	first, live := !c.applied, c.plugIns()
	c.mu.Unlock()
	if !first || len(live) == 0 {
		return nil
	}
	faults, err := c.faults(ctx, live)
	if err != nil {
		c.Log.Warn("cannot look at the network", "error", err)
	}
	return faults
}

// lookAtNetwork compares the network with what it should be and repairs it.
func (c *Controller) lookAtNetwork(ctx context.Context, live []Instance) {
	begun := time.Now()
	faults, err := c.faults(ctx, live)
	if len(faults) > 0 {
		err = c.network.Do(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &c.healing
	h.busy = false
	h.strife++
	if len(faults) == 0 {
		h.strife = 0
	}
	h.next = c.Now().Add(h.pause(time.Since(begun)))
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		c.Log.Warn("cannot repair the network", "error", err)
		h.news, h.next = true, c.Now().Add(healRetry)
	}
	c.tellFaults(faults, err)
	c.nudge()
}

// faults are what is missing or altered.
func (c *Controller) faults(ctx context.Context, live []Instance) ([]netns.Fault, error) {
	pids := map[string]int{}
	for _, i := range live {
		if st, err := c.Runtime.State(ctx, i.ID); err == nil && st.Pid != 0 {
			pids[i.ID] = st.Pid
		}
	}
	seen, err := c.Network.Observe(ctx, pids)
	return seen.Broken, err
}

// tellFaults publishes what was repaired, or could not be; called under mu.
func (c *Controller) tellFaults(faults []netns.Fault, err error) {
	ev := Event{Action: ActionRepair}
	if err != nil {
		ev.Error = err.Error()
	}
	slices.SortStableFunc(faults, func(a, b netns.Fault) int { return strings.Compare(a.Container, b.Container) })
	for _, f := range faults {
		ev.Attributes = map[string]string{"fault": f.Text}
		if i := c.instances[f.Container]; i != nil {
			c.publish(i, ev)
			continue
		}
		ev.Type, ev.Name = "network", cmp.Or(f.Network, c.Store.Project)
		ev.Attributes["name"] = ev.Name
		c.emit(ev)
	}
}
