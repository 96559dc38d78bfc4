package scheduler

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
)

// balance keeps the kernel's maps of backends as fittest says. Each turn of the
// loop compares what should be with what was last written and asks for a round,
// beside the loop, when they differ. A round writes the published ports and the
// records of services, then the tables inside the containers follow. What must not
// go on before awaits a round of its own.
type balance struct {
	write, lead *coalescer
	writes      pace
	leads       pace
	// Fingerprints of the configuration: as it should be, as recorded, and as all
	// containers have it.
	wanted, written, led string
	config               netns.Config // as recorded
	retry                time.Time
	// follow is a round through the containers that is to come.
	follow   *time.Timer
	followAt time.Time
}

// balanceRetry is when a round that failed is tried again.
const balanceRetry = time.Second

// pace spaces rounds that nobody awaits, so that they take a tenth of the time at
// most: fifty replicas that become ready one by one would cost fifty rounds.
type pace struct {
	ended time.Time
	took  time.Duration
}

func (p *pace) left(now time.Time) time.Duration { return p.ended.Add(9 * p.took).Sub(now) }

func (p *pace) round(begun time.Time) { p.ended, p.took = time.Now(), time.Since(begun) }

// balanceConfig is what a round tells package netns; called under mu.
func (c *Controller) balanceConfig() netns.Config {
	all := c.sorted()
	var cfg netns.Config
	for _, i := range all {
		if i.live() || c.opening[i.ID] {
			cfg.Endpoints = append(cfg.Endpoints, i.Endpoints...)
		}
	}
	cfg.Ports = balancedPorts(all, c.opening)
	cfg.Services = balancedServices(c.want, c.made, all, c.opening)
	return cfg
}

// rebalance asks for a round when the configuration changed; called under mu,
// every turn. It returns when to look again. A project that goes down is left as
// it is: its clients go as well.
func (c *Controller) rebalance(now time.Time) (again time.Duration) {
	b := &c.balance
	if c.want.Down || now.Before(b.retry) {
		return 0
	}
	if b.follow != nil && len(c.inFlight) == 0 {
		c.followBalance(0)
	}
	cfg := c.balanceConfig()
	if b.wanted = fingerprint(cfg); b.wanted == b.written {
		return 0
	}
	again = b.writes.left(time.Now())
	switch {
	case len(c.inFlight) == 0: // the last change is not kept waiting
		again = 0
	case onlyMore(b.config, cfg):
		again = max(again, time.Until(b.writes.ended.Add(moreWait)))
	}
	if again > 0 {
		return again
	}
	b.write.Ask()
	return 0
}

// recorded reports whether published ports lead where they should, and every
// client that asks for a service now is led rightly; settled, whether those that
// asked before are. A kernel that refuses is told and tried again; nobody waits.
func (b *balance) recorded() bool { return b.wanted == b.written || !b.retry.IsZero() }
func (b *balance) settled() bool  { return b.wanted == b.led || !b.retry.IsZero() }

// fingerprint is the same for configurations that lead clients to the same places.
func fingerprint(cfg netns.Config) string {
	var b strings.Builder
	for _, p := range cfg.Ports {
		b.WriteString(portName(p) + " " + p.Container + " " + strconv.Itoa(int(p.Target)) + " " + strconv.FormatBool(p.Resting) + "\n")
	}
	for _, s := range cfg.Services {
		b.WriteString(s.Name + " " + s.Network + " " + strings.Join(s.Names, ",") + " " + strings.Join(s.Backends, ",") + "\n")
	}
	return b.String()
}

// writeBalance is one round. The first of a controller is a whole Apply: until then
// package netns knows nothing of the project.
func (c *Controller) writeBalance(ctx context.Context) error {
	begun := time.Now()
	err := c.recordBalance(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.balance.writes.round(begun)
	c.balanced(err)
	return err
}

func (c *Controller) recordBalance(ctx context.Context) error {
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
	idle := fingerprint(cfg) == c.balance.written
	c.mu.Unlock()
	if idle {
		return nil
	}
	if err := c.Network.Balance(ctx, cfg); err != nil {
		return err
	}
	c.wrote(cfg)
	return nil
}

// wrote notes what is recorded, and has the containers follow.
func (c *Controller) wrote(cfg netns.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.balance
	wait := b.leads.left(time.Now())
	if len(c.inFlight) > 0 && onlyMore(b.config, cfg) {
		wait = max(wait, moreWait)
	}
	c.applied, b.written, b.config, b.retry = true, fingerprint(cfg), cfg, time.Time{}
	c.followBalance(wait)
}

// moreWait is how late it may be known that a service which is reached already has
// more backends, while operations are under way: fifty that start are told of in a
// few rounds, not fifty, the last one when all is done.
const moreWait = 250 * time.Millisecond

// onlyMore reports whether clients that know before are still led rightly.
func onlyMore(before, now netns.Config) bool {
	known := map[string]bool{}
	for _, to := range destinations(now) {
		known[to[1]] = true
	}
	reached := map[string]bool{}
	for _, to := range destinations(before) {
		reached[to[0]] = true
		if !known[to[1]] {
			return false
		}
	}
	return !slices.ContainsFunc(destinations(now), func(to [2]string) bool { return !reached[to[0]] })
}

// destinations are what clients reach, and behind it whom.
func destinations(cfg netns.Config) (out [][2]string) {
	add := func(what, who string) { out = append(out, [2]string{what, what + " " + who}) }
	for _, p := range cfg.Ports {
		if !p.Resting {
			add(portName(p), p.Container)
		}
	}
	for _, s := range cfg.Services {
		for _, id := range s.Backends {
			add(serviceOn(s.Name, s.Network), id)
		}
	}
	return out
}

func serviceOn(name, network string) string { return "service " + name + " on " + network }

// followBalance has the tables inside the containers brought up to date, after a
// while unless that is asked for already, sooner; called under mu.
func (c *Controller) followBalance(wait time.Duration) {
	b := &c.balance
	if wait <= 0 {
		b.lead.Ask()
		return
	}
	at := time.Now().Add(wait)
	if b.follow != nil && b.followAt.Before(at) {
		return
	}
	if b.follow != nil {
		b.follow.Stop()
	}
	b.followAt = at
	b.follow = time.AfterFunc(wait, b.lead.Ask)
}

// leadClients is one round through the containers.
func (c *Controller) leadClients(ctx context.Context) error {
	begun := time.Now()
	c.mu.Lock()
	written := c.balance.written
	if c.balance.follow != nil {
		c.balance.follow.Stop()
		c.balance.follow = nil
	}
	c.mu.Unlock()
	err := c.Network.Lead(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.balance.led = written
	}
	c.balance.leads.round(begun)
	c.balanced(err)
	return err
}

// balanced ends a round: those who wait for it look, and what failed comes again.
func (c *Controller) balanced(err error) {
	if err != nil {
		c.Log.Warn("cannot balance services", "error", err)
		c.balance.retry = c.Now().Add(balanceRetry)
		c.balance.written = "" // so that it is wanted again
		time.AfterFunc(balanceRetry, c.Wake)
	}
	c.Wake()
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
	err := c.balance.write.Do(ctx)
	if err == nil {
		err = c.balance.lead.Do(ctx)
	}
	if err != nil {
		c.Log.Warn("cannot drain container before it stops", "container", i.Name, "error", err)
	}
}

// introduce sees that a service has its address before its first replica comes.
func (c *Controller) introduce(ctx context.Context, svc types.ServiceConfig) error {
	c.mu.Lock()
	missing := func(key string) bool {
		id := c.made[key].ID
		recorded := func(s netns.Service) bool { return s.Name == svc.Name && s.Network == id }
		return hasAddress(svc, key) && !slices.ContainsFunc(c.balance.config.Services, recorded)
	}
	known := !slices.ContainsFunc(attachments(svc), missing)
	c.mu.Unlock()
	if known {
		return nil
	}
	return c.balance.write.Do(ctx)
}

// leadsTo reports whether a port of an instance that is about to start leads to it
// at once: nobody else can serve it.
func (c *Controller) leadsTo(i *Instance) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(balancedPorts(c.sorted(), c.opening), func(p netns.Port) bool { return p.Container == i.ID && !p.Resting })
}
