package netns

import (
	"net/netip"
	"strconv"
)

// Tap is how a virtual machine sets up an endpoint's interface. Its device is in the
// container's namespace, made persistent, so that the hypervisor only opens it.
//
//	bridge ─ veth ─ ethN │ routes │ tapN ─ hypervisor ─ ethN of the machine
//
// The addresses are the machine's alone. The namespace answers for them on ethN, and
// on tapN for everybody else (proxy ARP and NDP), and passes packets on; so what
// holds for a container's namespace holds for the machine behind it: its place at the
// bridge, its bandwidth, and where its services lead, which is decided for packets
// that come through as for those that a container sends.
type Tap struct {
	Name      string
	MTU       int
	Addresses []netip.Prefix
	Routes    []TapRoute
}

// TapRoute leads to Destination by Via; without Via it is on the link.
type TapRoute struct {
	Destination netip.Prefix
	Via         netip.Addr
}

// The namespace's own addresses on each tap. A machine that is led to itself sees the
// first and the last as its client: masquerading takes none whose scope is the link.
func tapAddr4() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 254, 254}) }
func tapAddr6() netip.Addr { return netip.MustParseAddr("fe80::1") }
func tapSelf6() netip.Addr { return netip.MustParseAddr("fdfe:fefe:fefe::fe") }

func whole(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// machineSide is what the machine is told.
func (p *plug) machineSide() *Tap {
	t := &Tap{Name: p.tap, MTU: p.mtu}
	for _, a := range p.addresses() {
		if a.Addr().Is4() {
			t.Addresses = append(t.Addresses, a)
			continue
		}
		// Its neighbours are reached through the namespace: nobody answers for them.
		t.Addresses = append(t.Addresses, whole(a.Addr()))
		t.Routes = append(t.Routes, TapRoute{a.Masked(), tapAddr6()}, TapRoute{whole(tapSelf6()), tapAddr6()})
	}
	t.Routes = append(t.Routes, TapRoute{Destination: whole(tapAddr4())})
	for _, pool := range p.network.ServicePools {
		switch {
		case pool.Addr().Is4() && p.lease.IPv4.IsValid():
			t.Routes = append(t.Routes, TapRoute{Destination: pool})
		case pool.Addr().Is6() && p.lease.IPv6.IsValid():
			t.Routes = append(t.Routes, TapRoute{pool, tapAddr6()})
		}
	}
	if !p.endpoint.Default || p.network.Internal {
		return t
	}
	if gw, ok := p.gateway(p.lease.IPv4); ok {
		t.Routes = append(t.Routes, TapRoute{netip.PrefixFrom(netip.IPv4Unspecified(), 0), gw})
	}
	if _, ok := p.gateway(p.lease.IPv6); ok {
		t.Routes = append(t.Routes, TapRoute{netip.PrefixFrom(netip.IPv6Unspecified(), 0), tapAddr6()})
	}
	return t
}

// gateway is that of the pool an address is from.
func (p *plug) gateway(own netip.Addr) (netip.Addr, bool) {
	for _, pool := range p.network.Pools {
		if own.IsValid() && pool.Subnet.Contains(own) {
			return pool.gateway(), true
		}
	}
	return netip.Addr{}, false
}

// tapSysctls let the namespace pass packets on, and answer at once.
func tapSysctls(plugs []*plug) map[string]string {
	out := map[string]string{}
	for _, p := range plugs {
		if p.tap == "" {
			continue
		}
		out["net/ipv4/ip_forward"] = "1"
		out["net/ipv4/conf/all/send_redirects"] = "0"
		for _, link := range []string{p.endpoint.IfName, p.tap} {
			out["net/ipv4/conf/"+link+"/proxy_arp"] = "1"
			out["net/ipv4/conf/"+link+"/send_redirects"] = "0"
			out["net/ipv4/neigh/"+link+"/proxy_delay"] = "0"
		}
		if p.lease.IPv6.IsValid() {
			out["net/ipv6/conf/all/forwarding"] = "1"
			out["net/ipv6/conf/"+p.endpoint.IfName+"/proxy_ndp"] = "1"
			out["net/ipv6/neigh/"+p.endpoint.IfName+"/proxy_delay"] = "0"
		}
	}
	return out
}

// routedChains are what a namespace does for the machine behind it.
func (in inside) routedChains(lead, refuse []rule) []chain {
	var self []rule
	for _, a := range in.Routed {
		kind := "ip"
		if a.Is6() {
			kind = "ip6"
		}
		self = append(self, rule{kind + " saddr " + a.String(), kind + " daddr " + a.String(), "masquerade"})
	}
	return []chain{
		{Name: "routed", Kind: "nat", Hook: "prerouting", Priority: -100, Rules: lead},
		{Name: "routed-refuse", Kind: "filter", Hook: "forward", Rules: refuse},
		{Name: "routed-self", Kind: "nat", Hook: "postrouting", Priority: 100, Rules: self},
	}
}

// tapName is the name of the tap of a container's endpoint number n.
func tapName(n int) string { return "tap" + strconv.Itoa(n) }
