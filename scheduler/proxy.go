package scheduler

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"stack/netns"
)

// proxies are the sockets of one container's ports on which clients arrive that no
// rule can redirect: those of ::1, and IPv6 clients of a container without IPv6.
// The sockets are the port's reservations, kept by the shim: clients wait in them
// while there is no controller.
type proxies struct{ cancel context.CancelFunc }

// proxied reports whether clients of p can arrive on its reserved socket.
func proxied(p netns.Port) bool { return !p.HostIP.IsValid() || p.HostIP.Is6() }

// serveProxies begins to serve a container's ports, in place of an earlier time.
func (c *Controller) serveProxies(i *Instance) error {
	c.stopProxies(i.ID)
	ctx, cancel := context.WithCancel(context.Background())
	var errs []error
	for _, p := range i.Ports {
		if proxied(p) {
			errs = append(errs, c.serveProxy(ctx, i.ID, p))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proxies[i.ID] = &proxies{cancel}
	return errors.Join(errs...)
}

func (c *Controller) stopProxies(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.proxies[id]; p != nil {
		p.cancel()
		delete(c.proxies, id)
	}
}

func (c *Controller) serveProxy(ctx context.Context, id string, p netns.Port) error {
	f := c.Keeper.Held(portName(p))
	if f == nil {
		return nil // it could not be reserved again, which was told
	}
	defer f.Close()
	run, err := proxyOn(f, p, c.proxyTarget(id, p))
	if err != nil {
		return fmt.Errorf("cannot serve port %d through a proxy: %w", p.HostPort, err)
	}
	go func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("proxy ended", "port", p.HostPort, "error", err)
		}
	}()
	return nil
}

// proxyOn makes a server of a reserved socket.
func proxyOn(f *os.File, p netns.Port, to netns.Target) (func(context.Context) error, error) {
	if p.Protocol == "udp" {
		conn, err := net.FilePacketConn(f)
		return func(ctx context.Context) error { return netns.ProxyUDP(ctx, conn, to) }, err
	}
	l, err := netns.Listen(f)
	return func(ctx context.Context) error { return netns.ProxyTCP(ctx, l, to) }, err
}

// proxyTarget is where a container takes a port's clients: its address on the
// network of its default route, as for those that rules redirect.
func (c *Controller) proxyTarget(id string, p netns.Port) netns.Target {
	return func() (netip.AddrPort, bool) {
		i, ok := c.instance(id)
		if !ok || !i.live() {
			return netip.AddrPort{}, false
		}
		endpoints := slices.Clone(i.Endpoints)
		slices.SortStableFunc(endpoints, func(a, b netns.Endpoint) int { return defaultFirst(a) - defaultFirst(b) })
		for _, e := range endpoints {
			if addr := c.leasedTo(id, e.Network); addr.IsValid() && !c.internal(e.Network) {
				return netip.AddrPortFrom(addr, p.Target), true
			}
		}
		return netip.AddrPort{}, false
	}
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
