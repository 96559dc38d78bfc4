package netns

import (
	"fmt"
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
	if s.targets[netip.AddrPortFrom(answering.Unmap(), f.Reverse.SrcPort)] {
		return true
	}
	return s.ports[f.Forward.DstPort] && answering == asked
}

// forgetFlows deletes the flows that a change of the port sets made stale.
func (h *Host) forgetFlows(before, after map[string][]element) error {
	stale := staleFlows{map[netip.AddrPort]bool{}, map[uint16]bool{}}
	for _, s := range portSets(nil, nil) {
		removed, added := difference(before[s.Name], after[s.Name])
		for _, e := range removed {
			if a, err := netip.ParseAddr(e.Data[0]); err == nil && e.Key[0] == "udp" {
				stale.targets[netip.AddrPortFrom(a, portNumber(e.Data[1]))] = true
			}
		}
		for _, e := range added {
			if e.Key[0] == "udp" {
				stale.ports[portNumber(e.Key[len(e.Key)-1])] = true
			}
		}
	}
	if len(stale.targets)+len(stale.ports) == 0 {
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

func portNumber(text string) uint16 {
	n, _ := strconv.ParseUint(text, 10, 16)
	return uint16(n)
}
