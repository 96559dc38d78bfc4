package netns

import (
	"maps"
	"testing"
)

func TestShapers(t *testing.T) {
	leases := []Lease{{Link: "a", Bandwidth: Bandwidth{Ingress: 10}}, {Link: "b"}}
	for name, c := range map[string]struct {
		network         Bandwidth
		ingress, egress map[string]uint64
	}{
		"own limits only":     {Bandwidth{}, map[string]uint64{"a": 10}, map[string]uint64{}},
		"with the network's":  {Bandwidth{Ingress: 50}, map[string]uint64{"a": 10, "b": 0}, map[string]uint64{}},
		"the other direction": {Bandwidth{Egress: 50}, map[string]uint64{"a": 10}, map[string]uint64{"a": 0, "b": 0}},
	} {
		got := shapers(Network{ID: "x", Bandwidth: c.network}, leases)
		if !maps.Equal(got[0].ports, c.ingress) || !maps.Equal(got[1].ports, c.egress) {
			t.Errorf("%s: got %v", name, got)
		}
		if got[0].needed() != true || got[1].needed() != (len(c.egress) > 0) {
			t.Errorf("%s: needed %v, %v", name, got[0].needed(), got[1].needed())
		}
	}
	names := map[string]bool{}
	for _, id := range []string{"0123456789ab", "0123456789ac"} {
		for _, s := range shapers(Network{ID: id}, nil) {
			names[s.link] = true
			if s.needed() || !validLinkName(s.link) {
				t.Errorf("%+v", s)
			}
		}
	}
	if len(names) != 4 {
		t.Errorf("names %v", names)
	}
}

func TestClassesOfShapers(t *testing.T) {
	free, bound := shaper{}, shaper{limit: 1000}
	if c := free.rest(); c != (class{restMinor, promised, unlimited}) {
		t.Errorf("got %+v", c)
	}
	if c := bound.rest(); c != (class{restMinor, 1000, 1000}) {
		t.Errorf("got %+v", c)
	}
	for _, index := range []int{1, 65532, 65533, 65534, 65535, 65536, 1 << 30} {
		if m := portMinor(index); m == 0 || m > maxMinor {
			t.Errorf("link %d has class %d", index, m)
		}
	}
	if burst(1) != 6056 || backlog(1) != 32<<10 || burst(unlimited) != 312_500_000 || backlog(10_000_000) != 125_000 {
		t.Error(burst(1), backlog(1), burst(unlimited), backlog(10_000_000))
	}
}

func TestBandwidthCheck(t *testing.T) {
	for _, bad := range []Bandwidth{{Ingress: 7999}, {Egress: 1}} {
		n := network("p", "n")
		n.Bandwidth = bad
		e := endpoints("c", network("p", "n"))[0]
		e.Bandwidth = bad
		if n.check() == nil || e.check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	if b := (Bandwidth{Ingress: unlimited, Egress: unlimited - 1}); b.of(ingress) != 0 || b.of(egress) != unlimited-1 || b.check() != nil {
		t.Errorf("%+v: %d, %d", b, b.of(ingress), b.of(egress))
	}
}
