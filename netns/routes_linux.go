package netns

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The kernel makes the route to a bridge's subnet with its address. Somebody may delete
// the one without the other: the host then reaches containers by its default route.

// connected are the subnets that routes of the main table lead to over a link.
func (h *Host) connected(index int) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dumped(h, func() ([]netlink.Route, error) {
			by := &netlink.Route{LinkIndex: index, Table: unix.RT_TABLE_MAIN}
			return h.link.RouteListFiltered(family, by, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
		})
		if err != nil && !(family == netlink.FAMILY_V6 && !h.ipv6) {
			return nil, fmt.Errorf("cannot list routes: %w", err)
		}
		for _, r := range routes {
			if p, ok := prefixOf(r.Dst); ok && r.Gw == nil {
				out = append(out, p.Masked())
			}
		}
	}
	return out, nil
}

// lostRoutes are the bridge's addresses whose subnets no route leads to, though the
// kernel has the address and the bridge is up.
func (h *Host) lostRoutes(n Network, v *kernelView) ([]netip.Prefix, error) {
	bridge, ok := v.byName[n.Bridge]
	if !ok || bridge.Attrs().RawFlags&unix.IFF_UP == 0 {
		return nil, nil
	}
	index := bridge.Attrs().Index
	have, err := h.connected(index)
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, p := range n.Pools {
		a := p.bridgeAddr()
		if slices.Contains(v.addrs[index], a) && !slices.Contains(have, a.Masked()) {
			out = append(out, a)
		}
	}
	return out, nil
}

func (h *Host) brokenRoutes(n Network, v *kernelView) (out []Fault, err error) {
	lost, err := h.lostRoutes(n, v)
	for _, a := range lost {
		text := fmt.Sprintf("bridge %s of network %s lacks the route to %v", n.Bridge, n.Name, a.Masked())
		out = append(out, Fault{Network: n.Name, Text: text})
	}
	return out, err
}

// repairRoutes makes them again as the kernel does.
func (h *Host) repairRoutes(n Network, v *kernelView) error {
	lost, err := h.lostRoutes(n, v)
	if err != nil {
		return err
	}
	var batch []request
	for _, a := range lost {
		batch = append(batch, bridgeRoute(a, v.byName[n.Bridge].Attrs().Index))
	}
	return h.do(batch...)
}

func bridgeRoute(a netip.Prefix, bridge int) request {
	r := newRequest("restore the route to "+a.Masked().String(), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewRtMsg()
	msg.Family, msg.Dst_len, msg.Protocol = family(a.Addr()), uint8(a.Bits()), unix.RTPROT_KERNEL
	if a.Addr().Is4() {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	r.AddData(msg)
	r.attr(unix.RTA_DST, a.Masked().Addr().AsSlice())
	r.attr(unix.RTA_OIF, nl.Uint32Attr(uint32(bridge)))
	if a.Addr().Is4() {
		r.attr(unix.RTA_PREFSRC, a.Addr().AsSlice())
	} else {
		r.attr(unix.RTA_PRIORITY, nl.Uint32Attr(kernelMetric6))
	}
	return r
}

// kernelMetric6 is what the kernel gives the routes to its IPv6 addresses' subnets.
const kernelMetric6 = 256

// concernsRoute judges the route that was deleted: one over a bridge of ours.
func (h *Host) concernsRoute(body []byte) bool {
	if len(body) < unix.SizeofRtMsg || body[4] != unix.RT_TABLE_MAIN { // rtm_table
		return false
	}
	attrs, err := nl.ParseRouteAttr(body[unix.SizeofRtMsg:])
	if err != nil {
		return true
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.RTA_OIF && len(a.Value) == 4 {
			return h.isBridge(int(nl.NativeEndian().Uint32(a.Value)))
		}
	}
	return false
}
