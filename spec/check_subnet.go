package spec

import (
	"net/netip"
	"slices"
)

// pool is a subnet of a network in the file.
type pool struct {
	network string
	prefix  netip.Prefix
}

// checkSubnets: subnets, gateways, ranges and fixed addresses can be parsed and
// lie in each other, and no two networks overlap.
func checkSubnets(m *model, r *report) {
	var pools []pool
	m.root.get("networks").each(func(name string, v *value) {
		for _, item := range v.get("ipam", "config").list() {
			if p, ok := checkPool(r, pools, name, item); ok {
				pools = append(pools, p)
			}
		}
	})
	for _, s := range m.enabled() {
		networks := s.v.get("networks")
		networks.each(func(name string, v *value) {
			for _, key := range []string{"ipv4_address", "ipv6_address"} {
				checkAddress(r, pools, name, v.get(key), m.root.get("networks", name, "ipam", "config") != nil)
			}
		})
	}
}

func checkPool(r *report, pools []pool, network string, item *value) (pool, bool) {
	subnet := item.get("subnet")
	if subnet.text() == "" {
		return pool{}, false
	}
	prefix, err := netip.ParsePrefix(subnet.text())
	if err != nil {
		r.add(subnet.at, "subnet", quote(subnet)+" is no subnet", "write 10.1.0.0/24 or fd00:1::/64")
		return pool{}, false
	}
	prefix = prefix.Masked()
	for _, p := range pools {
		if p.prefix.Overlaps(prefix) {
			r.addf(subnet.at, "subnet", "subnet %s overlaps %s of network %q", prefix, p.prefix, p.network)
			break
		}
	}
	if gateway := item.get("gateway"); gateway.text() != "" {
		inside(r, gateway, prefix)
	}
	item.get("aux_addresses").each(func(_ string, v *value) { inside(r, v, prefix) })
	if v := item.get("ip_range"); v.text() != "" {
		if rng, err := netip.ParsePrefix(v.text()); err != nil || !prefix.Contains(rng.Addr()) || rng.Bits() < prefix.Bits() {
			r.addf(v.at, "subnet", "ip_range %q is not in %s", v.text(), prefix)
		}
	}
	return pool{network, prefix}, true
}

func inside(r *report, v *value, prefix netip.Prefix) {
	if addr, err := netip.ParseAddr(v.text()); err != nil || !prefix.Contains(addr) {
		r.addf(v.at, "subnet", "%q is no address in %s", v.text(), prefix)
	}
}

func checkAddress(r *report, pools []pool, network string, v *value, configured bool) {
	if v.text() == "" {
		return
	}
	addr, err := netip.ParseAddr(v.text())
	if err != nil {
		r.addf(v.at, "subnet", "%q is no IP address", v.text())
		return
	}
	in := slices.ContainsFunc(pools, func(p pool) bool { return p.network == network && p.prefix.Contains(addr) })
	if configured && !in {
		r.addf(v.at, "subnet", "%s is in no subnet of network %q", addr, network)
	}
}
