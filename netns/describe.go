package netns

import "net/netip"

// Gateway is the bridge's address on the subnet that holds a, with the subnet's
// length; zero for an address that is on none.
func (n Network) Gateway(a netip.Addr) netip.Prefix {
	for _, p := range n.Pools {
		if a.IsValid() && p.Subnet.Contains(a) {
			return p.bridgeAddr()
		}
	}
	return netip.Prefix{}
}

// GatewayAddr is the address of the bridge in the pool; zero without a subnet.
func (p Pool) GatewayAddr() netip.Addr {
	if !p.Subnet.IsValid() {
		return netip.Addr{}
	}
	return p.gateway()
}
