package netns

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// staleFlows selects the UDP flows that the kernel would go on treating as
// before a change of ports: those led to an address that is no longer
// published, and those that reached a port before it was. (A TCP flow ends by
// itself.)
type staleFlows struct {
	targets map[netip.AddrPort]bool // no longer published
	ports   map[uint16]bool         // newly published
	gone    map[netip.Addr]bool     // of containers that rested, and now leave
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (s staleFlows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	if f.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	answering, ok := netip.AddrFromSlice(f.Reverse.SrcIP)
	asked, ok2 := netip.AddrFromSlice(f.Forward.DstIP)
	if !ok || !ok2 {
		return false
	}
	answering, asked = answering.Unmap(), asked.Unmap()
	if s.gone[answering] && answering != asked || s.targets[netip.AddrPortFrom(answering, f.Reverse.SrcPort)] {
		return true
	}
	return s.ports[f.Forward.DstPort] && answering == asked
}

// staleAfter selects what a change of the port sets makes stale, but for flows to
// the addresses in kept.
func staleAfter(before, after map[string][]element, kept map[netip.Addr]bool) staleFlows {
	had, has := udpPorts(before), udpPorts(after)
	maps.DeleteFunc(had.targets, func(t netip.AddrPort, _ bool) bool { return has.targets[t] || kept[t.Addr()] })
	maps.DeleteFunc(has.ports, func(p uint16, _ bool) bool { return had.ports[p] })
	return staleFlows{targets: had.targets, ports: has.ports}
}

// forgetFlows deletes stale flows.
func (h *Host) forgetFlows(stale staleFlows) error {
	if len(stale.targets)+len(stale.ports)+len(stale.gone) == 0 {
		return nil
	}
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		if family == unix.AF_INET6 && !h.ipv6 {
			continue
		}
		_, err := dumped(h, func() (uint, error) {
			return h.link.ConntrackDeleteFilters(netlink.ConntrackTable, family, stale)
		})
		if err != nil && !isGone(err) {
			return fmt.Errorf("cannot delete stale connection tracking entries: %w", err)
		}
	}
	return nil
}

// udpPorts reads the port sets' members: which ports lead where.
func udpPorts(elements map[string][]element) staleFlows {
	out := staleFlows{targets: map[netip.AddrPort]bool{}, ports: map[uint16]bool{}}
	for _, s := range portSets(nil, nil) {
		for _, e := range elements[s.Name] {
			a, err := netip.ParseAddr(e.Data[0])
			if err != nil || e.Key[0] != "udp" {
				continue
			}
			out.targets[netip.AddrPortFrom(a, portNumber(e.Data[1]))] = true
			out.ports[portNumber(e.Key[len(e.Key)-2])] = true // a slot is the last
		}
	}
	return out
}

func portNumber(text string) uint16 {
	n, _ := strconv.ParseUint(text, 10, 16)
	return uint16(n)
}
