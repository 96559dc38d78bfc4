package netns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// insideTable is the name of the table in each container's own namespace.
const insideTable = "stack"

// inside is what stack does in a container's network namespace.
type inside struct {
	// UDP and TCP are the resolver's ports on ResolverAddr; 0 for none.
	UDP, TCP uint16
	// Routed are the addresses of the virtual machine behind the namespace.
	Routed []netip.Addr
	paths
}

// paths are the part that containers of the same networks have in common.
type paths struct {
	// Pools are the service pools of the networks, Services what is in them.
	Pools    []netip.Prefix
	Services []ServiceLease
}

// rules computes the table. Its only client is the container itself, or the virtual
// machine behind it, so what is
// translated on output has that one's address as its source: services see who
// calls, also when a replica calls its own service and is led to itself.
//
// A process there that may change the table can lead itself astray, nobody else.
func (in inside) rules() ruleset {
	sets := in.sets()
	return ruleset{Table: insideTable, Sets: sets, Chains: append(in.chains(), spreadChains(sets)...)}
}

func (in inside) chains() []chain {
	var nat, refuse []rule
	for _, r := range []struct {
		clause string
		port   uint16
	}{{"udp dport 53", in.UDP}, {"tcp dport 53", in.TCP}} {
		if r.port != 0 {
			to := fmt.Sprintf("dnat ip to %s:%d", ResolverAddr, r.port)
			nat = append(nat, rule{"ip daddr " + ResolverAddr, r.clause, to})
		}
	}
	var lead []rule
	if in.has(netip.Addr.Is4) {
		lead = append(lead, rule{"meta nfproto ipv4", "ip daddr vmap @spread4"})
	}
	if in.has(netip.Addr.Is6) {
		lead = append(lead, rule{"meta nfproto ipv6", "ip6 daddr vmap @spread6"})
	}
	for _, p := range in.Pools {
		daddr := "ip daddr " + p.String()
		if p.Addr().Is6() {
			daddr = "ip6 daddr " + p.String()
		}
		// What was not translated has no backend.
		refuse = append(refuse,
			rule{daddr, "meta l4proto tcp", "reject with tcp reset"},
			rule{daddr, "reject with icmpx port-unreachable"})
	}
	out := []chain{
		{Name: "output", Kind: "nat", Hook: "output", Priority: -100, Rules: append(nat, lead...)},
		{Name: "refuse", Kind: "filter", Hook: "output", Rules: refuse},
	}
	if len(in.Routed) > 0 {
		out = append(out, in.routedChains(lead, refuse)...)
	}
	return out
}

// A service's backends are numbered from 0; one of N is drawn in the chain of all
// services that have N. So a further backend is one more element and another chain,
// whatever their number, in each of the namespaces.
const (
	of4 = "of4-"
	of6 = "of6-"
)

// sets are the maps from a service's address to the chain for the number of its
// backends, and from address and number to the backend.
func (p paths) sets() []set {
	var v4, v6, n4, n6 []element
	for _, s := range p.Services {
		i4, i6 := 0, 0
		for _, b := range s.Backends {
			if b.Is4() && s.IPv4.IsValid() {
				v4 = append(v4, element{Key: []string{s.IPv4.String(), fmt.Sprint(i4)}, Data: []string{b.String()}})
				i4++
			}
			if b.Is6() && s.IPv6.IsValid() {
				v6 = append(v6, element{Key: []string{s.IPv6.String(), fmt.Sprint(i6)}, Data: []string{b.String()}})
				i6++
			}
		}
		if i4 > 0 {
			n4 = append(n4, element{Key: []string{s.IPv4.String()}, Data: []string{fmt.Sprint("goto ", of4, i4)}})
		}
		if i6 > 0 {
			n6 = append(n6, element{Key: []string{s.IPv6.String()}, Data: []string{fmt.Sprint("goto ", of6, i6)}})
		}
	}
	var out []set
	if p.has(netip.Addr.Is4) {
		out = append(out,
			set{Name: "services4", Key: []field{fieldIPv4, fieldIndex}, Data: []field{fieldIPv4}, Elements: v4},
			set{Name: "spread4", Key: []field{fieldIPv4}, Data: []field{fieldVerdict}, Elements: n4})
	}
	if p.has(netip.Addr.Is6) {
		out = append(out,
			set{Name: "services6", Key: []field{fieldIPv6, fieldIndex}, Data: []field{fieldIPv6}, Elements: v6},
			set{Name: "spread6", Key: []field{fieldIPv6}, Data: []field{fieldVerdict}, Elements: n6})
	}
	return out
}

// has reports whether there are service addresses of a family.
func (p paths) has(family func(netip.Addr) bool) bool {
	return slices.ContainsFunc(p.Pools, func(pool netip.Prefix) bool { return family(pool.Addr()) })
}

// spreadChains are the chains that sets lead to, by name.
func spreadChains(sets []set) (out []chain) {
	names := make(map[string]bool)
	for _, s := range sets {
		for _, e := range s.Elements {
			if len(e.Data) != 1 {
				break
			}
			if name, ok := strings.CutPrefix(e.Data[0], "goto "); ok {
				names[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, spreadChain(name))
	}
	return out
}

func spreadChain(name string) chain {
	if n, ok := strings.CutPrefix(name, of4); ok {
		return chain{Name: name, Rules: []rule{{"meta nfproto ipv4", "dnat ip to ip daddr . numgen random mod " + n + " map @services4"}}}
	}
	n := strings.TrimPrefix(name, of6)
	return chain{Name: name, Rules: []rule{{"meta nfproto ipv6", "dnat ip6 to ip6 daddr . numgen random mod " + n + " map @services6"}}}
}

// arrange numbers backends anew so that few change their number: those that are
// there already keep it, unless it is beyond the number of backends that are left.
func arrange(before, now []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, v4 := range []bool{true, false} {
		other := func(a netip.Addr) bool { return a.Is4() != v4 }
		out = append(out, arrangeOne(
			slices.DeleteFunc(slices.Clone(before), other), slices.DeleteFunc(slices.Clone(now), other))...)
	}
	return out
}

func arrangeOne(before, now []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(now))
	var rest []netip.Addr
	placed := make(map[netip.Addr]bool)
	for i, a := range before {
		if i < len(out) && slices.Contains(now, a) {
			out[i], placed[a] = a, true
		}
	}
	for _, a := range now {
		if !placed[a] {
			rest = append(rest, a)
		}
	}
	for i, a := range out {
		if !a.IsValid() {
			out[i], rest = rest[0], rest[1:]
		}
	}
	return out
}
