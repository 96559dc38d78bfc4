package netns

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Service addresses lie in pools of their own, beside the network's subnets: no
// link has them, so nothing answers for them by ARP, and nobody but a container
// of the network, whose route and table lead there, can use them.

// ServiceLease is what a service got on a network, recorded in
// networks/ID/services.json under the network's flock. Every stack that has
// containers there leads its clients to the backends.
type ServiceLease struct {
	Project string
	Name    string
	IPv4    netip.Addr `json:",omitzero"`
	IPv6    netip.Addr `json:",omitzero"`
	// Names are what resolvers answer with the service's address.
	Names []string
	// Backends are the addresses that new connections go to, those of IPv4 first.
	// Their places are kept as far as can be, see arrange.
	Backends []netip.Addr
}

// servicePools are the ranges that pools of service addresses are chosen from. The
// first is for benchmarks of network devices (RFC 2544): nobody routes it.
func servicePools() []netip.Prefix {
	return append([]netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")}, defaultPools()...)
}

// Lengths of service pools, whole bytes: rules compare them.
const (
	servicePool4 = 24
	servicePool6 = 112
)

// settleServices decides a network's service pools: those it had, unless its own
// subnets are in the way now, or free ones.
func (n Network) settleServices(old, taken []netip.Prefix) ([]netip.Prefix, error) {
	for _, p := range n.Pools {
		taken = append(slices.Clone(taken), p.Subnet)
	}
	own := func(p netip.Prefix) bool {
		return slices.ContainsFunc(n.Pools, func(q Pool) bool { return q.Subnet.Overlaps(p) })
	}
	var v4, v6 netip.Prefix
	for _, p := range old {
		switch {
		case own(p):
		case p.Addr().Is4():
			v4 = p
		default:
			v6 = p
		}
	}
	for _, from := range servicePools() {
		if !v4.IsValid() {
			v4, _ = firstFree(from, servicePool4, taken)
		}
	}
	if !v4.IsValid() {
		return nil, fmt.Errorf("no free range of service addresses in %v", servicePools())
	}
	if !n.IPv6 {
		return []netip.Prefix{v4}, nil
	}
	if !v6.IsValid() {
		v6 = netip.PrefixFrom(pickULA(n.ID+" services", taken).Addr(), servicePool6)
	}
	return []netip.Prefix{v4, v6}, nil
}

// serve makes the record of a project's services on a network what is wanted, and
// reports whether it changed. Those that have addresses keep them. A service for
// which there is no address left is not recorded: its name stays that of its
// containers.
func (st *state) serve(project string, wanted []Service) (changed bool) {
	var out []ServiceLease
	mine := make(map[string]ServiceLease)
	used := make(map[netip.Addr]bool)
	for _, l := range st.services {
		used[l.IPv4], used[l.IPv6] = true, true
		if l.Project != project {
			out = append(out, l)
			continue
		}
		mine[l.Name] = l
	}
	for _, s := range wanted {
		l := mine[s.Name]
		l.Project, l.Name, l.Names = project, s.Name, slices.Clone(s.Names)
		l.IPv4 = st.record.Network.serviceAddr(project, s.Name, l.IPv4, true, used)
		l.IPv6 = st.record.Network.serviceAddr(project, s.Name, l.IPv6, false, used)
		if !l.IPv4.IsValid() {
			continue
		}
		l.Backends = arrange(l.Backends, st.addresses(s.Backends))
		out = append(out, l)
	}
	return st.setServices(out)
}

// setServices replaces the record, sorted, if it differs.
func (st *state) setServices(all []ServiceLease) (changed bool) {
	slices.SortFunc(all, func(a, b ServiceLease) int {
		return strings.Compare(a.Project+" "+a.Name, b.Project+" "+b.Name)
	})
	same := func(a, b ServiceLease) bool {
		return a.Project == b.Project && a.Name == b.Name && a.IPv4 == b.IPv4 && a.IPv6 == b.IPv6 &&
			slices.Equal(a.Names, b.Names) && slices.Equal(a.Backends, b.Backends)
	}
	if slices.EqualFunc(all, st.services, same) {
		return false
	}
	st.services, st.servicesChanged = all, true
	return true
}

// withdraw takes addresses out of every service, of whatever project.
func (st *state) withdraw(gone func(netip.Addr) bool) {
	all := slices.Clone(st.services)
	for i := range all {
		left := slices.DeleteFunc(slices.Clone(all[i].Backends), gone)
		all[i].Backends = arrange(all[i].Backends, left)
	}
	st.setServices(all)
}

// addresses are those leased to the containers, sorted.
func (st *state) addresses(containers []string) (out []netip.Addr) {
	for _, l := range st.leases {
		if slices.Contains(containers, l.Container) {
			for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
				if a.IsValid() {
					out = append(out, a)
				}
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// serviceAddr is a service's address: the one it has, or a free one. Where the
// search begins depends on its name, so that a project that comes back gets the
// addresses it had, as a rule.
func (n Network) serviceAddr(project, service string, has netip.Addr, v4 bool, used map[netip.Addr]bool) netip.Addr {
	for _, p := range n.ServicePools {
		if p.Addr().Is4() != v4 {
			continue
		}
		if has.IsValid() && p.Contains(has) {
			return has
		}
		sum := digest("service", project, service)
		at := int(sum[0]) % 254
		for range 254 {
			a := nth(p, 1+at)
			if !used[a] {
				used[a] = true
				return a
			}
			at = (at + 1) % 254
		}
	}
	return netip.Addr{}
}

// nth is the address of p whose last two bytes are n more than p's.
func nth(p netip.Prefix, n int) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	last := b[len(b)-2:]
	binary.BigEndian.PutUint16(last, binary.BigEndian.Uint16(last)+uint16(n))
	a, _ := netip.AddrFromSlice(b)
	return a
}
