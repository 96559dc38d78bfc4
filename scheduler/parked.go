package scheduler

import (
	"context"
	"slices"
)

// Where the whole project goes, its containers' links are not taken away one by one:
// each time the kernel waits some 25 ms for readers, and what it still has of them
// when the networks go, Apply removes together with the bridges. A container whose
// links are left so is parked until then, or until a command keeps the project.

// parks reports whether a container that ends now is to be parked; called under mu.
func (c *Controller) parks() bool {
	if !c.want.Down {
		return false
	}
	for _, i := range c.instances {
		if _, known := c.want.Stack.Services[i.Service]; !known && !i.OneOff && !c.want.RemoveOrphans {
			return false // an orphan keeps its network
		}
	}
	return true
}

// unpark takes the links of the parked containers away; called under mu, so that no
// start meets their addresses.
func (c *Controller) unpark(ctx context.Context) {
	c.detach(ctx, c.parked)
	c.parked = nil
}

// unparkStrays does the same to what a dead controller had parked: leases of
// containers that nobody knows any more.
func (c *Controller) unparkStrays(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want.Down {
		return // it goes on
	}
	var strays []string
	for _, n := range c.made {
		leases, err := c.Network.Leases(n.ID)
		if err != nil {
			c.Log.Warn("cannot read leases", "network", n.Name, "error", err)
		}
		for _, l := range leases {
			if l.Project == c.Store.Project && c.instances[l.Container] == nil {
				strays = append(strays, l.Container)
			}
		}
	}
	slices.Sort(strays)
	c.detach(ctx, slices.Compact(strays))
}

func (c *Controller) detach(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	if err := c.Network.Detach(ctx, ids...); err != nil {
		c.Log.Warn("cannot take removed containers off the network", "error", err)
	}
}
