package spec

import (
	"net/netip"
	"strings"
)

// taken is a host port that a service has.
type taken struct {
	port
	by *service
}

// checkPortConflicts: no host port is published twice by services that run
// together. A range is a pool to choose from: it conflicts with itself only.
func checkPortConflicts(m *model, r *report) {
	owners := map[int][]taken{}
	for _, s := range m.needed() {
		for _, item := range s.v.get("ports").list() {
			for _, p := range published(item) {
				if p.first == p.last {
					claim(r, owners, taken{p, s})
				}
			}
		}
	}
}

func claim(r *report, owners map[int][]taken, t taken) {
	for _, other := range owners[t.first] {
		if other.proto == t.proto && overlap(other.hostIP, t.hostIP) {
			r.addf(t.at, "port-conflict", "host port %d/%s is published by service %q already (%s)",
				t.first, t.proto, other.by.name, other.at.seenFrom(t.at))
			return
		}
	}
	owners[t.first] = append(owners[t.first], t)
}

// overlap says whether one socket could be asked for twice.
func overlap(a, b string) bool {
	x, y := hostAddress(a), hostAddress(b)
	switch {
	case !x.IsValid() || !y.IsValid():
		return true
	case x.Is4() != y.Is4():
		return false
	}
	return x == y || x.IsUnspecified() || y.IsUnspecified()
}

// hostAddress is the zero Addr for every address of the host.
func hostAddress(s string) netip.Addr {
	addr, _ := netip.ParseAddr(strings.Trim(s, "[]"))
	return addr
}
