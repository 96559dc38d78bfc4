package netns

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// errExhausted says that a network has no address left to lease.
var errExhausted = errors.New("no address left")

// defaultPools are the ranges that subnets are chosen from, the first with room
// wins. 172.17.0.0/16 is left to Docker's default bridge, whose daemon may not
// be running yet.
func defaultPools() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("10.0.0.0/8"),
	}
}

// prefixBits is the prefix length of a subnet that holds size endpoints beside
// its gateway, network and broadcast addresses: 24, or less when 253 are not
// enough.
func prefixBits(size int) int {
	need := bits.Len(uint(max(size, 1) + 2)) // 2^need > size+2
	return min(24, 32-need)
}

// pickSubnet chooses the lowest default subnet for size endpoints that overlaps
// nothing in taken.
func pickSubnet(taken []netip.Prefix, size int) (netip.Prefix, error) {
	length := prefixBits(size)
	taken = append(slices.Clone(taken), netip.MustParsePrefix("172.17.0.0/16"))
	for _, pool := range defaultPools() {
		if p, ok := firstFree(pool, length, taken); ok {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("no free subnet of length /%d in %v: every one overlaps a route, an address or another network; set a subnet in the file", length, defaultPools())
}

// firstFree walks pool in steps of the wanted length, jumping over what is taken.
func firstFree(pool netip.Prefix, length int, taken []netip.Prefix) (netip.Prefix, bool) {
	if length < pool.Bits() {
		return netip.Prefix{}, false
	}
	for at := pool.Addr(); pool.Contains(at); {
		p := netip.PrefixFrom(at, length)
		hit, ok := overlap(p, taken)
		if !ok {
			return p, true
		}
		if hit.Bits() > length {
			hit = p
		}
		at = lastAddr(hit).Next()
		if !at.IsValid() {
			break
		}
	}
	return netip.Prefix{}, false
}

// pickULA chooses an IPv6 unique local /64 (RFC 4193) from the network's ID.
func pickULA(id string, taken []netip.Prefix) netip.Prefix {
	for try := 0; ; try++ {
		sum := digest("ula", id, fmt.Sprint(try))
		var b [16]byte
		b[0] = 0xfd
		copy(b[1:8], sum[:7])
		p := netip.PrefixFrom(netip.AddrFrom16(b), 64)
		if _, hit := overlap(p, taken); !hit {
			return p
		}
	}
}

// overlap returns the widest taken prefix that overlaps p.
func overlap(p netip.Prefix, taken []netip.Prefix) (netip.Prefix, bool) {
	var widest netip.Prefix
	for _, t := range taken {
		if t.Overlaps(p) && (!widest.IsValid() || t.Bits() < widest.Bits()) {
			widest = t
		}
	}
	return widest, widest.IsValid()
}

// lastAddr is the highest address of p, IPv4's broadcast address.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// gateway is the address of the bridge in the pool.
func (p Pool) gateway() netip.Addr {
	if p.Gateway.IsValid() {
		return p.Gateway
	}
	return p.Subnet.Masked().Addr().Next()
}

// bridgeAddr is the gateway with the subnet's length.
func (p Pool) bridgeAddr() netip.Prefix { return netip.PrefixFrom(p.gateway(), p.Subnet.Bits()) }

// forbidden says why a must never be leased; "" when it may.
func (p Pool) forbidden(a netip.Addr) string {
	if !p.Subnet.Contains(a) {
		return "outside " + p.Subnet.String()
	}
	if a == p.gateway() {
		return "the gateway"
	}
	if a == p.Subnet.Masked().Addr() {
		return "the address of the subnet itself"
	}
	if a.Is4() && a == lastAddr(p.Subnet) {
		return "the broadcast address"
	}
	for name, r := range p.Reserved {
		if r == a {
			return "reserved for " + name
		}
	}
	return ""
}

// lease returns an address that may be leased and is not taken: the next one
// after `after`, going round the range once. Not reusing an address at once is
// kind to peers that still remember its last holder.
func (p Pool) lease(taken func(netip.Addr) bool, after netip.Addr) (netip.Addr, error) {
	span := p.Subnet.Masked()
	if p.Range.IsValid() {
		span = p.Range.Masked()
	}
	start := span.Addr()
	if after.IsValid() && span.Contains(after) && span.Contains(after.Next()) {
		start = after.Next()
	}
	for a, wrapped := start, false; ; {
		if p.forbidden(a) == "" && !taken(a) {
			return a, nil
		}
		a = a.Next()
		if !a.IsValid() || !span.Contains(a) {
			if wrapped {
				break
			}
			a, wrapped = span.Addr(), true
		}
		if a == start {
			break
		}
	}
	return netip.Addr{}, fmt.Errorf("%w in %v", errExhausted, span)
}

// check verifies a pool that is written in the file.
func (p Pool) check() error {
	if !p.Subnet.IsValid() {
		if p.Range.IsValid() || p.Gateway.IsValid() || len(p.Reserved) > 0 {
			return errors.New("a range, gateway or auxiliary address needs a subnet")
		}
		return nil
	}
	if p.Subnet.Addr().Is4() && p.Subnet.Bits() > 30 || p.Subnet.Bits() > 126 {
		return fmt.Errorf("subnet %v has no room for endpoints", p.Subnet)
	}
	if p.Subnet.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) || p.Subnet.Addr().IsMulticast() {
		return fmt.Errorf("subnet %v is not for hosts", p.Subnet)
	}
	if p.Range.IsValid() && (!p.Subnet.Contains(p.Range.Addr()) || p.Range.Bits() < p.Subnet.Bits()) {
		return fmt.Errorf("range %v is outside subnet %v", p.Range, p.Subnet)
	}
	if !p.Subnet.Contains(p.gateway()) {
		return fmt.Errorf("gateway %v is outside subnet %v", p.Gateway, p.Subnet)
	}
	for name, a := range p.Reserved {
		if !p.Subnet.Contains(a) {
			return fmt.Errorf("auxiliary address %s (%v) is outside subnet %v", name, a, p.Subnet)
		}
	}
	return nil
}
