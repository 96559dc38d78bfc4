package netns

import (
	"fmt"
	"net/netip"
	"slices"
)

// leaseCall is one request waiting for the next write of the lease file.
type leaseCall struct {
	endpoint Endpoint
	project  string
	netns    uint64

	done  bool
	lease Lease
	fresh bool // the lease was not there before
	err   error
}

// lease gives an endpoint its addresses; an endpoint that has them keeps them.
// Calls that arrive while the file is being written share the next write, so
// fifty at once cost a few writes, not fifty.
func (e *entry) lease(c *leaseCall) {
	e.queueMu.Lock()
	e.queue = append(e.queue, c)
	e.queueMu.Unlock()

	e.serve.Lock()
	defer e.serve.Unlock()
	if !c.done {
		e.serveQueue()
	}
}

// serveQueue serves every queued call with one change of the file.
func (e *entry) serveQueue() {
	e.queueMu.Lock()
	calls := e.queue
	e.queue = nil
	e.queueMu.Unlock()
	err := e.update(func(st *state) error {
		if st.record.Network.ID == "" {
			return fmt.Errorf("%w: %s", ErrNotFound, e.id)
		}
		for _, c := range calls {
			c.lease, c.fresh, c.err = e.grant(st, c)
		}
		return nil
	})
	for _, c := range calls {
		c.done = true
		if err != nil {
			c.lease, c.fresh, c.err = Lease{}, false, err
		}
	}
}

// grant leases addresses in st.
func (e *entry) grant(st *state, c *leaseCall) (l Lease, fresh bool, err error) {
	n := st.record.Network
	same := func(l leaseLine) bool {
		return l.Container == c.endpoint.Container && l.IfName == c.endpoint.IfName
	}
	if i := slices.IndexFunc(st.leases, same); i >= 0 {
		old := st.leases[i].Lease
		if l := c.endpoint.renew(old, c.netns); l.fits(c.endpoint) {
			return l, false, st.replace(i, l)
		}
		st.drop(func(l Lease) bool { return l.Container == old.Container && l.IfName == old.IfName })
	}
	if len(st.leases) >= maxPorts {
		return Lease{}, false, fmt.Errorf("network %s: %w", n.Name, tooMany(len(st.leases)+1))
	}
	l = c.endpoint.renew(Lease{
		Container: c.endpoint.Container,
		Project:   c.project,
		Network:   n.ID,
		IfName:    c.endpoint.IfName,
		Link:      linkName(c.endpoint.Container, c.endpoint.IfName),
	}, c.netns)
	if l.IPv4, err = e.address(st, c.endpoint, c.endpoint.IPv4, true); err != nil {
		return Lease{}, false, err
	}
	if l.IPv6, err = e.address(st, c.endpoint, c.endpoint.IPv6, false); err != nil {
		return Lease{}, false, err
	}
	if l.MAC == "" {
		l.MAC = endpointMAC(l.IPv4, l.IPv6).String()
	}
	return l, true, st.add(l)
}

// renew copies into a lease what may change without a new address.
func (ep Endpoint) renew(l Lease, netns uint64) Lease {
	l.Names, l.Service, l.Hostname, l.NetNS, l.Bandwidth = slices.Clone(ep.Names), ep.Service, ep.Hostname, netns, ep.Bandwidth
	l.Routed = ep.Tap
	if ep.MAC != "" {
		l.MAC = ep.MAC
	}
	return l
}

// fits says whether a lease still gives the static addresses asked for.
func (l Lease) fits(ep Endpoint) bool {
	return (!ep.IPv4.IsValid() || l.IPv4 == ep.IPv4) && (!ep.IPv6.IsValid() || l.IPv6 == ep.IPv6) &&
		l.Network == ep.Network
}

// replace stores l in place of lease i, if it differs.
func (st *state) replace(i int, l Lease) error {
	var changed state
	changed.taken = st.taken
	if err := changed.add(l); err != nil {
		return err
	}
	if string(changed.leases[0].line) != string(st.leases[i].line) {
		st.leases[i], st.leasesChanged = changed.leases[0], true
	}
	return nil
}

// address leases one address of a family: the static one, or the next free one
// of the first pool that has any. A network without a pool of the family gives
// none.
func (e *entry) address(st *state, ep Endpoint, static netip.Addr, v4 bool) (netip.Addr, error) {
	n := st.record.Network
	if static.IsValid() {
		return static, n.checkStatic(static, st.taken[static])
	}
	taken := func(a netip.Addr) bool {
		if _, leased := st.taken[a]; leased {
			return true
		}
		holder, held := e.held[a]
		return held && holder != ep.Container
	}
	var full error
	for _, p := range n.Pools {
		if p.Subnet.Addr().Is4() != v4 {
			continue
		}
		a, err := p.lease(taken, e.last[v4])
		if err == nil {
			e.remember(v4, a)
			return a, nil
		}
		full = fmt.Errorf("network %s: %w", n.Name, err)
	}
	return netip.Addr{}, full
}

func (e *entry) remember(v4 bool, a netip.Addr) {
	if e.last == nil {
		e.last = make(map[bool]netip.Addr)
	}
	e.last[v4] = a
}

// checkStatic says why a static address cannot be given.
func (n Network) checkStatic(a netip.Addr, holder string) error {
	if holder != "" {
		return fmt.Errorf("address %v of network %s is taken by container %s", a, n.Name, short(holder))
	}
	for _, p := range n.Pools {
		if !p.Subnet.Contains(a) {
			continue
		}
		if why := p.forbidden(a); why != "" {
			return fmt.Errorf("address %v of network %s cannot be used: it is %s", a, n.Name, why)
		}
		return nil
	}
	return fmt.Errorf("address %v is in no subnet of network %s", a, n.Name)
}
