package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"

	"stack/netns"
)

// Clients arrive that no rule can redirect on some published ports: those of ::1,
// and IPv6 clients of a container without IPv6. A proxy serves them from the port's
// reservation, which the shim keeps: clients wait in it while there is no
// controller.

// proxied reports whether clients of p can arrive on its reserved socket.
func proxied(p netns.Port) bool { return !p.HostIP.IsValid() || p.HostIP.Is6() }

// serveProxies begins to serve an instance's ports, unless another replica's start
// did.
func (c *Controller) serveProxies(i *Instance) error {
	var errs []error
	for _, p := range i.Ports {
		if proxied(p) {
			errs = append(errs, c.serveProxy(p))
		}
	}
	return errors.Join(errs...)
}

func (c *Controller) stopProxy(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.proxies[name]; cancel != nil {
		cancel()
		delete(c.proxies, name)
	}
}

func (c *Controller) serveProxy(p netns.Port) error {
	c.reserving.Lock()
	defer c.reserving.Unlock()
	name := portName(p)
	f := c.Keeper.Held(name)
	if f == nil {
		return nil // it could not be reserved again, which was told
	}
	defer f.Close()
	c.mu.Lock()
	_, served := c.proxies[name]
	c.mu.Unlock()
	if served {
		return nil
	}
	run, err := proxyOn(f, p, c.proxyTarget(name), c.served)
	if err != nil {
		return fmt.Errorf("cannot serve port %d through a proxy: %w", p.HostPort, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.proxies[name] = cancel
	c.mu.Unlock()
	go func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("proxy ended", "port", p.HostPort, "error", err)
		}
	}()
	return nil
}

// proxyOn makes a server of a reserved socket.
func proxyOn(f *os.File, p netns.Port, to netns.Target, clients netns.Clients) (func(context.Context) error, error) {
	if p.Protocol == "udp" {
		conn, err := net.FilePacketConn(f)
		return func(ctx context.Context) error { return netns.ProxyUDP(ctx, conn, to, clients) }, err
	}
	l, err := netns.Listen(f)
	return func(ctx context.Context) error { return netns.ProxyTCP(ctx, l, to, clients) }, err
}

// proxyTarget is where a port's next client goes: a container as for those that
// rules redirect, by its address on the network of its default route.
func (c *Controller) proxyTarget(name string) netns.Target {
	return func() (netip.AddrPort, bool) {
		backends := c.backendsOf(name)
		for _, n := range rand.Perm(len(backends)) {
			if at, ok := c.addressOf(backends[n]); ok {
				return at, true
			}
		}
		return netip.AddrPort{}, false
	}
}

// backendsOf are the ports of those that take a reservation's new clients.
func (c *Controller) backendsOf(name string) []netns.Port {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(balancedPorts(c.sorted(), c.opening), func(p netns.Port) bool { return p.Resting || portName(p) != name })
}

func (c *Controller) addressOf(p netns.Port) (netip.AddrPort, bool) {
	i, ok := c.instance(p.Container)
	if !ok {
		return netip.AddrPort{}, false
	}
	endpoints := slices.Clone(i.Endpoints)
	slices.SortStableFunc(endpoints, func(a, b netns.Endpoint) int { return defaultFirst(a) - defaultFirst(b) })
	for _, e := range endpoints {
		if addr := c.leasedTo(i.ID, e.Network); addr.IsValid() && !c.internal(e.Network) {
			return netip.AddrPortFrom(addr, p.Target), true
		}
	}
	return netip.AddrPort{}, false
}

func defaultFirst(e netns.Endpoint) int {
	if e.Default {
		return 0
	}
	return 1
}

func (c *Controller) leasedTo(id, network string) netip.Addr {
	leases, err := c.Network.Leases(network)
	if err != nil {
		c.Log.Warn("cannot read addresses of network", "network", network, "error", err)
	}
	for _, l := range leases {
		if l.Container == id {
			return l.IPv4
		}
	}
	return netip.Addr{}
}

// internal reports whether a network of this project has no way to the host.
func (c *Controller) internal(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, n := range c.made {
		if n.ID == id {
			return c.want.Stack.Networks[key].Internal
		}
	}
	return false
}
