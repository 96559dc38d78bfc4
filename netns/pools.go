package netns

import (
	"fmt"
	"net/netip"
	"slices"
)

// capacity is how many endpoints a pool of IPv4 holds, roughly: auxiliary
// addresses are few.
func (p Pool) capacity() int { return 1<<(32-p.Subnet.Bits()) - 3 }

// settle fills in the subnets of a wanted network: those of the file, those
// recorded before (zero Network when new), or free ones. Replaced says that
// addresses leased so far are no longer good.
//
// A network whose subnets were chosen here and became too small gets a further
// one: nothing that runs is disturbed.
func (n Network) settle(old Network, taken []netip.Prefix) (pools []Pool, replaced bool, err error) {
	want4, want6 := split(n.Pools)
	have4, have6 := split(old.Pools)
	if len(want4) > 0 {
		replaced = len(have4) > 0 && !sameSubnets(want4, have4)
	} else {
		want4 = have4
		room := 0
		for _, p := range want4 {
			room += p.capacity()
		}
		if len(want4) == 0 || room < n.Size {
			subnet, err := pickSubnet(taken, n.Size-room)
			if err != nil {
				return nil, false, err
			}
			want4 = append(want4, Pool{Subnet: subnet})
		}
	}
	switch {
	case !n.IPv6:
		want6, replaced = nil, replaced || len(have6) > 0
	case len(want6) > 0:
		replaced = replaced || old.ID != "" && !sameSubnets(want6, have6)
	case len(have6) > 0:
		want6 = have6
	default:
		want6 = []Pool{{Subnet: pickULA(n.ID, taken)}}
		replaced = replaced || old.ID != ""
	}
	return append(want4, want6...), replaced, nil
}

// split parts the pools that have a subnet by family.
func split(pools []Pool) (v4, v6 []Pool) {
	for _, p := range pools {
		switch {
		case !p.Subnet.IsValid():
		case p.Subnet.Addr().Is4():
			p.Subnet = p.Subnet.Masked()
			v4 = append(v4, p)
		default:
			p.Subnet = p.Subnet.Masked()
			v6 = append(v6, p)
		}
	}
	return v4, v6
}

// sameSubnets says whether containers can keep their addresses and routes.
func sameSubnets(a, b []Pool) bool {
	return slices.EqualFunc(a, b, func(x, y Pool) bool {
		return x.Subnet == y.Subnet && x.gateway() == y.gateway()
	})
}

// hostSubnet is a subnet that an interface of the host is on or, of a route, leads to.
type hostSubnet struct {
	netip.Prefix
	link string
}

// clash says which network or host address overlaps the file's own subnets.
// Routes may be overlapped: a more specific one of our own is then meant.
func (n Network) clash(others []record, host []hostSubnet) error {
	for _, p := range n.Pools {
		if !p.Subnet.IsValid() {
			continue
		}
		for _, o := range others {
			for _, q := range o.Network.Pools {
				if o.Network.ID != n.ID && q.Subnet.Overlaps(p.Subnet) {
					return fmt.Errorf("subnet %v of network %s overlaps %v of network %s", p.Subnet, n.Name, q.Subnet, o.Network.Name)
				}
			}
		}
		for _, own := range host {
			if own.Overlaps(p.Subnet) {
				return fmt.Errorf("subnet %v of network %s overlaps the host's own %v (interface %s)", p.Subnet, n.Name, own.Prefix, own.link)
			}
		}
	}
	return nil
}

// clashRoutes says which route the file's own subnets overlap: one that is as wide
// or narrower would lose its traffic to the network, or the network to it. In a wider
// one a hole may be meant, but hardly in that of a VPN.
func (n Network) clashRoutes(routes []hostSubnet, vpns map[string]bool) error {
	for _, subnet := range n.subnetsOf() {
		for _, r := range routes {
			switch {
			case !r.Overlaps(subnet):
			case vpns[r.link]:
				return fmt.Errorf("subnet %v of network %s overlaps %v, which the VPN interface %s leads to", subnet, n.Name, r.Prefix, r.link)
			case r.Bits() >= subnet.Bits():
				return fmt.Errorf("subnet %v of network %s overlaps the host's route to %v through interface %s", subnet, n.Name, r.Prefix, r.link)
			}
		}
	}
	return nil
}

// subnetsOf are the subnets that the file gives.
func (n Network) subnetsOf() (out []netip.Prefix) {
	for _, p := range n.Pools {
		if p.Subnet.IsValid() {
			out = append(out, p.Subnet)
		}
	}
	return out
}

// portTargets finds where published ports lead: for each container its address
// on the network of its default route, else on its first one that is not
// internal. Answers then leave the way the question came.
func portTargets(networks []Network, endpoints []Endpoint, leases []Lease) map[string]target {
	internal := make(map[string]bool)
	for _, n := range networks {
		internal[n.ID] = n.Internal
	}
	isDefault := make(map[[2]string]bool)
	for _, e := range endpoints {
		isDefault[[2]string{e.Container, e.IfName}] = e.Default
	}
	sorted := slices.Clone(leases)
	slices.SortStableFunc(sorted, func(a, b Lease) int {
		x, y := isDefault[[2]string{a.Container, a.IfName}], isDefault[[2]string{b.Container, b.IfName}]
		switch {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
	out := make(map[string]target)
	for _, l := range sorted {
		is, known := internal[l.Network]
		if is || !known {
			continue
		}
		t := out[l.Container]
		if !t.IPv4.IsValid() {
			t.IPv4 = l.IPv4
		}
		if !t.IPv6.IsValid() {
			t.IPv6 = l.IPv6
		}
		out[l.Container] = t
	}
	return out
}
