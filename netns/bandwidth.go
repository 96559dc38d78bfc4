package netns

import "fmt"

// Bandwidth limits traffic in bits per second, as the containers see it; 0 is no
// limit. That of a network is for its endpoints together, that of an endpoint for
// itself. What counts are whole Ethernet frames.
type Bandwidth struct{ Ingress, Egress uint64 }

// direction is a way of traffic, as a container sees it.
type direction string

const (
	ingress direction = "ingress"
	egress  direction = "egress"
)

// of is the limit in a direction; 0 where it would limit nothing.
func (b Bandwidth) of(d direction) uint64 {
	limit := b.Egress
	if d == ingress {
		limit = b.Ingress
	}
	if limit >= unlimited {
		return 0
	}
	return limit
}

// leastLimit lets a whole frame through in two seconds.
const leastLimit = 8_000

func (b Bandwidth) check() error {
	for _, limit := range []uint64{b.Ingress, b.Egress} {
		if limit > 0 && limit < leastLimit {
			return fmt.Errorf("a limit of %d bit/s is below %d", limit, leastLimit)
		}
	}
	return nil
}

// shaper is what one direction of a network's traffic passes through when any of
// it is limited: a link that does nothing but queue, between the bridge and the
// containers' links. It stands on the host, where no container can reach it.
//
//	container ── veth ─┐ redirect          ┌─ bridge
//	                   └── shaper: classes ─┘
type shaper struct {
	link string
	way  direction
	// limit is that of the network, 0 without.
	limit uint64
	// ports are the containers' links that are led through it, with limits of their
	// own, or 0.
	ports map[string]uint64
}

// shapers are a network's two, needed or not.
func shapers(n Network, leases []Lease) []shaper {
	var out []shaper
	for _, way := range []direction{ingress, egress} {
		s := shaper{link: shaperName(n.ID, way), way: way, limit: n.Bandwidth.of(way), ports: map[string]uint64{}}
		for _, l := range leases {
			if limit := l.Bandwidth.of(way); limit > 0 || s.limit > 0 {
				s.ports[l.Link] = limit
			}
		}
		out = append(out, s)
	}
	return out
}

func (s shaper) needed() bool { return s.limit > 0 || len(s.ports) > 0 }

func shaperName(id string, way direction) string {
	return map[direction]string{ingress: "sti", egress: "ste"}[way] + hexDigest(linkNameLen-3, id)
}

func shaperAlias(n Network, way direction) string {
	return aliasPrefix(n.Project) + "shaper " + n.ID + " " + string(way)
}

// The classes of a shaper, by the minor numbers of their handles: one for
// everything, below it one for each port with a limit of its own, and one for the
// ports without.
const (
	allMinor  = 0xffff
	restMinor = 0xfffe
	maxMinor  = 0xfffd
)

// portMinor is the class of a link; the program in classifier computes the same.
func portMinor(index int) uint16 { return uint16(index%maxMinor + 1) }

// unlimited is a rate above what a network of links in memory does.
const unlimited = 100_000_000_000

// class is one class of a shaper: it always gets rate, and takes up to ceil when
// others leave it. Children must not be promised more than all have together, so
// they are promised next to nothing.
type class struct {
	minor      uint16
	rate, ceil uint64
}

func (s shaper) all() class {
	limit := s.limit
	if limit == 0 {
		limit = unlimited
	}
	return class{allMinor, limit, limit}
}

func (s shaper) rest() class { return child(restMinor, s.all().ceil) }

const promised = leastLimit

func child(minor uint16, ceil uint64) class { return class{minor, min(promised, ceil), ceil} }

// burst is how much of a rate may pass at once, in bytes: what 25 ms bring, for a busy
// machine's timers are that late and the rate would be lost, and at least some frames.
func burst(rate uint64) uint32 {
	return uint32(min(max(rate/8/40, 4*1514), 1<<30))
}

// backlog is how much may wait in a class, in bytes: 100 ms, and at least what lets
// TCP recover from a loss without a pause.
func backlog(rate uint64) uint32 {
	return uint32(min(max(rate/8/10, 32<<10), 16<<20))
}
