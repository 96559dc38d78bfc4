package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestPickSubnet(t *testing.T) {
	for _, c := range []struct {
		taken []netip.Prefix
		size  int
		want  string
	}{
		{nil, 0, "172.16.0.0/24"},
		{nil, 253, "172.16.0.0/24"},
		{nil, 254, "172.16.0.0/23"},
		{nil, 1023, "172.16.0.0/21"},
		{prefixes("172.16.0.0/24"), 10, "172.16.1.0/24"},
		{prefixes("172.16.0.5/32"), 10, "172.16.1.0/24"},
		{prefixes("172.16.0.0/24"), 500, "172.16.2.0/23"},
		{prefixes("172.16.0.0/16"), 10, "172.18.0.0/24"},
		{prefixes("172.16.0.0/12"), 10, "192.168.0.0/24"},
		{prefixes("172.16.0.0/12", "192.168.0.0/17"), 10, "192.168.128.0/24"},
		{prefixes("172.0.0.0/8", "192.0.0.0/8"), 10, "10.0.0.0/24"},
	} {
		got, err := pickSubnet(c.taken, c.size)
		if err != nil || got.String() != c.want {
			t.Errorf("pickSubnet(%v, %d) = %v, %v; want %s", c.taken, c.size, got, err, c.want)
		}
	}
	if _, err := pickSubnet(prefixes("172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"), 10); err == nil {
		t.Error("a subnet was found where none is free")
	}
}

func TestPickSubnetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var taken []netip.Prefix
		for range rapid.IntRange(0, 30).Draw(t, "routes") {
			b := [4]byte{
				rapid.SampledFrom([]byte{10, 172, 192}).Draw(t, "a"), rapid.Byte().Draw(t, "b"),
				rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d"),
			}
			taken = append(taken, netip.PrefixFrom(netip.AddrFrom4(b), rapid.IntRange(8, 32).Draw(t, "bits")).Masked())
		}
		size := rapid.IntRange(0, 2000).Draw(t, "size")
		for range 5 {
			p, err := pickSubnet(taken, size)
			if err != nil {
				return
			}
			if hit, ok := overlap(p, taken); ok {
				t.Fatalf("%v overlaps %v", p, hit)
			}
			if room := (Pool{Subnet: p}).capacity(); room < size {
				t.Fatalf("%v holds %d, want %d", p, room, size)
			}
			taken = append(taken, p)
		}
	})
}

// Leasing until the pool is exhausted gives every address that may be given,
// none of them twice.
func TestLeaseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Pool{Subnet: netip.MustParsePrefix("10.1.2.0/27"), Reserved: map[string]netip.Addr{}}
		host := rapid.IntRange(0, 31)
		addr := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 2, byte(n)}) }
		if rapid.Bool().Draw(t, "gateway") {
			p.Gateway = addr(host.Draw(t, "gw"))
		}
		if rapid.Bool().Draw(t, "range") {
			p.Range = netip.PrefixFrom(addr(host.Draw(t, "range")), rapid.IntRange(27, 32).Draw(t, "bits")).Masked()
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "reserved") {
			p.Reserved[fmt.Sprint(i)] = addr(host.Draw(t, "aux"))
		}
		taken := map[netip.Addr]bool{addr(host.Draw(t, "static")): true}
		given := map[netip.Addr]bool{}
		after := netip.Addr{}
		if rapid.Bool().Draw(t, "after") {
			after = addr(host.Draw(t, "last"))
		}
		for {
			a, err := p.lease(func(a netip.Addr) bool { return taken[a] }, after)
			if err != nil {
				if !errors.Is(err, errExhausted) {
					t.Fatal(err)
				}
				break
			}
			if taken[a] || p.forbidden(a) != "" || p.Range.IsValid() && !p.Range.Contains(a) {
				t.Fatalf("%v was given", a)
			}
			taken[a], given[a], after = true, true, a
		}
		for n := range 32 {
			inRange := !p.Range.IsValid() || p.Range.Contains(addr(n))
			if a := addr(n); inRange && p.forbidden(a) == "" && !taken[a] {
				t.Fatalf("%v was never given", a)
			}
		}
	})
}

func TestForbidden(t *testing.T) {
	p := Pool{Subnet: netip.MustParsePrefix("10.0.0.0/29"), Reserved: map[string]netip.Addr{"router": netip.MustParseAddr("10.0.0.3")}}
	for a, want := range map[string]bool{
		"10.0.0.0": true, "10.0.0.1": true, "10.0.0.2": false, "10.0.0.3": true,
		"10.0.0.6": false, "10.0.0.7": true, "10.0.0.8": true,
	} {
		if got := p.forbidden(netip.MustParseAddr(a)); (got != "") != want {
			t.Errorf("forbidden(%s) = %q", a, got)
		}
	}
}

func TestNetworkGrowsWithoutDisturbing(t *testing.T) {
	n := Network{ID: "aa", Size: 10}
	pools, replaced, err := n.settle(Network{}, nil)
	if err != nil || replaced || len(pools) != 1 {
		t.Fatalf("%v %v %v", pools, replaced, err)
	}
	old := Network{ID: "aa", Pools: pools}
	n.Size = 400
	grown, replaced, err := n.settle(old, prefixes("172.16.0.0/24"))
	if err != nil || replaced || len(grown) != 2 || grown[0].Subnet != pools[0].Subnet {
		t.Errorf("%v %v %v", grown, replaced, err)
	}
	n.IPv6 = true
	with6, replaced, err := n.settle(old, prefixes("172.16.0.0/24"))
	if err != nil || !replaced || len(with6) != 3 || !with6[2].Subnet.Addr().Is6() {
		t.Errorf("%v %v %v", with6, replaced, err)
	}
	n.Pools = []Pool{{Subnet: netip.MustParsePrefix("10.0.0.0/16")}}
	if _, replaced, _ := n.settle(old, nil); !replaced {
		t.Error("another subnet, and no containers are moved")
	}
}

func TestPortsGoToTheDefaultNetwork(t *testing.T) {
	networks := []Network{{ID: "in", Internal: true}, {ID: "a"}, {ID: "b"}}
	eps := []Endpoint{{Container: "c", IfName: "eth2", Default: true}}
	leases := []Lease{
		{Container: "c", Network: "in", IfName: "eth0", IPv4: netip.MustParseAddr("10.0.0.2")},
		{Container: "c", Network: "a", IfName: "eth1", IPv4: netip.MustParseAddr("10.0.1.2"), IPv6: netip.MustParseAddr("fd00::2")},
		{Container: "c", Network: "b", IfName: "eth2", IPv4: netip.MustParseAddr("10.0.2.2")},
		{Container: "hidden", Network: "in", IfName: "eth0", IPv4: netip.MustParseAddr("10.0.0.3")},
	}
	got := portTargets(networks, eps, leases)
	if got["c"].IPv4.String() != "10.0.2.2" || got["c"].IPv6.String() != "fd00::2" {
		t.Errorf("%v", got["c"])
	}
	if _, ok := got["hidden"]; ok {
		t.Error("a container on an internal network only was published")
	}
}
