package netns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func exampleInside() inside {
	addr := netip.MustParseAddr
	return inside{
		UDP: 40001, TCP: 40002,
		paths: paths{Pools: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24"), netip.MustParsePrefix("fd12:3456:789a:bc::/112"), netip.MustParsePrefix("198.18.7.0/24")},
			Services: []ServiceLease{
				{Project: "shop", Name: "web", IPv4: addr("198.18.0.9"), IPv6: addr("fd12:3456:789a:bc::9"),
					Backends: []netip.Addr{addr("172.18.0.2"), addr("172.18.0.3"), addr("172.18.0.4"), addr("fd00::2")}},
				{Project: "shop", Name: "db", IPv4: addr("198.18.7.1"), Backends: []netip.Addr{addr("172.18.0.9")}},
				{Project: "blog", Name: "web", IPv4: addr("198.18.0.10")},
			}},
	}
}

func TestInsideText(t *testing.T) {
	golden(t, "inside.nft", exampleInside().rules().String())
	golden(t, "inside-bare.nft", inside{}.rules().String())
}

func TestServicePools(t *testing.T) {
	p := netip.MustParsePrefix
	n := Network{ID: "aa", Pools: []Pool{{Subnet: p("198.18.0.0/25")}}}
	got, err := n.settleServices(nil, []netip.Prefix{p("198.18.1.128/30"), p("0.0.0.0/1"), p("128.0.0.0/1")})
	if err == nil {
		t.Errorf("everything is taken, and got %v", got)
	}
	if got, err = n.settleServices(nil, []netip.Prefix{p("198.18.1.128/30")}); err != nil || len(got) != 1 || got[0] != p("198.18.2.0/24") {
		t.Errorf("got %v, %v", got, err)
	}
	n.IPv6 = true
	both, err := n.settleServices(got, nil)
	if err != nil || len(both) != 2 || both[0] != got[0] || both[1].Bits() != servicePool6 {
		t.Errorf("got %v, %v", both, err)
	}
	if again, err := n.settleServices(both, []netip.Prefix{got[0]}); err != nil || fmt.Sprint(again) != fmt.Sprint(both) {
		t.Errorf("they are not kept: %v, %v", again, err)
	}
	// The file's subnet has precedence.
	n.Pools[0].Subnet = p("198.18.2.0/25")
	if moved, err := n.settleServices(both, nil); err != nil || moved[0] == got[0] || moved[1] != both[1] {
		t.Errorf("got %v, %v", moved, err)
	}
}

// Whatever stacks do, no two services have one address, and a service keeps its
// own as long as its project wants it.
func TestServiceAddressesAreUniqueAndStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := state{record: record{Network: Network{ServicePools: []netip.Prefix{
			netip.MustParsePrefix("198.18.0.0/24"), netip.MustParsePrefix("fd00::/112")}}}}
		has := make(map[string]netip.Addr)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			project := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "project")
			var wanted []Service
			for i := range rapid.IntRange(0, 120).Draw(t, "services") {
				wanted = append(wanted, Service{Name: fmt.Sprint("s", i)})
			}
			st.serve(project, wanted)
			seen := make(map[netip.Addr]string)
			mine := 0
			for _, s := range st.services {
				key := s.Project + "/" + s.Name
				if other := seen[s.IPv4] + seen[s.IPv6]; other != "" {
					t.Fatalf("%s has an address of %s", key, other)
				}
				seen[s.IPv4], seen[s.IPv6] = key, key
				if was, ok := has[key]; ok && was != s.IPv4 {
					t.Fatalf("%s moved from %v to %v", key, was, s.IPv4)
				}
				if s.Project == project {
					mine++
				}
			}
			if want := min(len(wanted), 254-(len(st.services)-mine)); mine != want {
				t.Fatalf("%d of %d services have an address, want %d", mine, len(wanted), want)
			}
			has = make(map[string]netip.Addr)
			for _, s := range st.services {
				has[s.Project+"/"+s.Name] = s.IPv4
			}
		}
	})
}

// Backends keep their numbers when others come or go, so that few elements change.
func TestArrangeMovesFew(t *testing.T) {
	addr := func(i int) netip.Addr { return nth(netip.MustParsePrefix("10.0.0.0/16"), 1+i) }
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) (out []netip.Addr) {
			for i := range 12 {
				if rapid.Bool().Draw(t, what) {
					out = append(out, addr(i))
				}
				if rapid.Bool().Draw(t, what) {
					out = append(out, netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}))
				}
			}
			return out
		}
		before, now := arrange(nil, draw("before")), draw("now")
		after := arrange(before, now)
		if len(after) != len(now) {
			t.Fatalf("%d backends became %d", len(now), len(after))
		}
		for i, v4 := range []bool{true, false} {
			is := func(a netip.Addr) bool { return a.Is4() == v4 }
			was, becomes := only(before, is), only(after, is)
			for n, a := range becomes {
				if !slices.Contains(now, a) || slices.Index(becomes, a) != n {
					t.Fatalf("family %d: %v is not wanted, or twice in %v", i, a, becomes)
				}
				if at := slices.Index(was, a); at >= 0 && at < len(becomes) && at != n {
					t.Fatalf("family %d: %v moved from %d to %d of %d", i, a, at, n, len(becomes))
				}
			}
		}
	})
}

func only(all []netip.Addr, is func(netip.Addr) bool) (out []netip.Addr) {
	for _, a := range all {
		if is(a) {
			out = append(out, a)
		}
	}
	return out
}
