package scheduler

import (
	"context"
	"encoding/json"
	"time"

	"stack/netns"
)

// balance keeps the kernel's maps of backends as fittest says. Each turn of the
// loop compares what should be with what was last written and asks for a round,
// beside the loop, when they differ; what must not go on before the kernel knows
// awaits a round of its own.
type balance struct {
	*coalescer
	wanted, written string // fingerprints of the configuration
	retry           time.Time
}

// balanceRetry is when a round that failed is tried again.
const balanceRetry = time.Second

// balanceConfig is what a round tells package netns; called under mu.
func (c *Controller) balanceConfig() netns.Config {
	var cfg netns.Config
	for _, i := range c.sorted() {
		if i.live() || c.opening[i.ID] {
			cfg.Endpoints = append(cfg.Endpoints, i.Endpoints...)
		}
	}
	cfg.Ports = balancedPorts(c.sorted(), c.opening)
	return cfg
}

// rebalance asks for a round when the configuration changed; called under mu,
// every turn. A project that goes down is left as it is: its clients go as well.
func (c *Controller) rebalance(now time.Time) {
	if c.want.Down || now.Before(c.balance.retry) {
		return
	}
	if c.balance.wanted = fingerprint(c.balanceConfig()); !c.balance.settled() {
		c.balance.Ask()
	}
}

// settled reports whether the kernel has what it should. One that refuses it is
// told and tried again; nobody waits for that.
func (b *balance) settled() bool { return b.wanted == b.written || !b.retry.IsZero() }

func fingerprint(cfg netns.Config) string {
	b, _ := json.Marshal(cfg.Ports) // plain values: it cannot fail
	return string(b)
}

// runBalance is one round. The first of a controller is a whole Apply: until then
// package netns knows nothing of the project.
func (c *Controller) runBalance(ctx context.Context) error {
	err := c.writeBalance(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.Log.Warn("cannot balance services", "error", err)
		c.balance.retry = c.Now().Add(balanceRetry)
		time.AfterFunc(balanceRetry, c.Wake)
	}
	c.Wake() // for those who wait until it is settled
	return err
}

func (c *Controller) writeBalance(ctx context.Context) error {
	c.mu.Lock()
	applied := c.applied
	c.mu.Unlock()
	if !applied {
		return c.network.Do(ctx)
	}
	c.applying.Lock()
	defer c.applying.Unlock()
	c.mu.Lock()
	cfg := c.balanceConfig()
	c.mu.Unlock()
	if err := c.Network.Balance(ctx, cfg); err != nil {
		return err
	}
	c.wrote(cfg)
	return nil
}

// wrote notes what the kernel has.
func (c *Controller) wrote(cfg netns.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.applied, c.balance.written, c.balance.retry = true, fingerprint(cfg), time.Time{}
}

// drainWait bounds what a stop waits for the kernel to lead clients elsewhere.
const drainWait = time.Second

// drain returns when no new connection comes to a stopping instance, if another
// one can take them. Where the whole service stops nobody can.
func (c *Controller) drain(ctx context.Context, i *Instance) {
	c.mu.Lock()
	c.balance.wanted = fingerprint(c.balanceConfig())
	idle := c.want.Down || c.want.Services[i.Service].Goal == GoalStop || c.balance.settled()
	c.mu.Unlock()
	if idle {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	if err := c.balance.Do(ctx); err != nil {
		c.Log.Warn("cannot drain container before it stops", "container", i.Name, "error", err)
	}
}
