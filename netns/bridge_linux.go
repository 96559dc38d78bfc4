package netns

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kernelView is what one dump of links, addresses and neighbours showed.
type kernelView struct {
	byName     map[string]netlink.Link
	addrs      map[int][]netip.Prefix
	neighbours map[int]map[netip.Addr]string // permanent ones
	ports      map[int]portMode              // of bridges
}

// look dumps the host's links and addresses, and the permanent neighbours.
func (h *Host) look() (*kernelView, error) {
	v := &kernelView{
		byName:     map[string]netlink.Link{},
		addrs:      map[int][]netip.Prefix{},
		neighbours: map[int]map[netip.Addr]string{},
	}
	var err error
	if v.ports, err = dumped(h, h.bridgePorts); err != nil {
		return nil, err
	}
	links, err := dumped(h, h.link.LinkList)
	if err != nil {
		return nil, fmt.Errorf("cannot list links: %w", err)
	}
	for _, l := range links {
		v.byName[l.Attrs().Name] = l
	}
	addrs, err := dumped(h, func() ([]netlink.Addr, error) { return h.link.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok {
			v.addrs[a.LinkIndex] = append(v.addrs[a.LinkIndex], p)
		}
	}
	neighs, err := dumped(h, func() ([]netlink.Neigh, error) { return h.link.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list neighbours: %w", err)
	}
	for _, n := range neighs {
		a, ok := netip.AddrFromSlice(n.IP)
		if !ok || n.State&netlink.NUD_PERMANENT == 0 {
			continue
		}
		if v.neighbours[n.LinkIndex] == nil {
			v.neighbours[n.LinkIndex] = map[netip.Addr]string{}
		}
		v.neighbours[n.LinkIndex][a.Unmap()] = n.HardwareAddr.String()
	}
	return v, nil
}

// bridgePorts tells how the machine's bridges treat their ports.
func (h *Host) bridgePorts() (map[int]portMode, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: h.dump}
	req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, fmt.Errorf("cannot list bridge ports: %w", err)
	}
	out := make(map[int]portMode)
	for _, m := range msgs {
		if len(m) < unix.SizeofIfInfomsg {
			continue
		}
		attrs, err := nl.ParseRouteAttrAsMap(m[unix.SizeofIfInfomsg:])
		if err != nil {
			return nil, fmt.Errorf("cannot list bridge ports: %w", err)
		}
		info, ok := attrs[unix.IFLA_PROTINFO|unix.NLA_F_NESTED]
		if !ok {
			continue
		}
		port, err := nl.ParseRouteAttrAsMap(info.Value)
		if err != nil {
			return nil, fmt.Errorf("cannot list bridge ports: %w", err)
		}
		set := func(kind uint16) bool { v := port[kind].Value; return len(v) > 0 && v[0] != 0 }
		out[int(nl.DeserializeIfInfomsg(m).Index)] = portMode{set(brportIsolated), set(nl.IFLA_BRPORT_MODE)}
	}
	return out, nil
}

// readHairpin asks whether bridged packets pass the firewall on this machine,
// and remembers the answer for Attach.
func (h *Host) readHairpin() (on bool) {
	_ = h.run(h.space, func() error {
		for _, name := range []string{"iptables", "ip6tables"} {
			v, err := readSysctl("net/bridge/bridge-nf-call-" + name)
			on = on || err == nil && v != "0"
		}
		return nil
	})
	h.mu.Lock()
	h.hairpin = on
	h.mu.Unlock()
	return on
}

// prefixOf converts an address with its length; host bits stay.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}

// ensureBridge makes a network's bridge as recorded and returns its index.
func (h *Host) ensureBridge(n Network, project string, v *kernelView) (int, error) {
	l, ok := v.byName[n.Bridge]
	if ok {
		if err := owned(l, n, project); err != nil {
			return 0, err
		}
	} else if err := h.do(bridgeRequests(n, h.ipv6)...); err != nil {
		return 0, fmt.Errorf("cannot create bridge %q: %w", n.Bridge, err)
	}
	alias := bridgeAlias(n.Project, n.ID)
	if !ok || !upToDate(l.Attrs(), n, alias) {
		if err := h.do(alterBridge(n, alias)); err != nil {
			return 0, fmt.Errorf("cannot alter bridge %q: %w", n.Bridge, err)
		}
		var err error
		if l, err = h.link.LinkByName(n.Bridge); err != nil {
			return 0, fmt.Errorf("cannot find bridge %q: %w", n.Bridge, err)
		}
	}
	index := l.Attrs().Index
	h.remember(n.ID, index)
	if err := h.bridgeSysctls(n); err != nil {
		return 0, err
	}
	return index, h.bridgeAddresses(n, index, v.addrs[index])
}

func (h *Host) remember(id string, index int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bridges[id] = index
}

// owned refuses a link that has the bridge's name but is not ours.
func owned(l netlink.Link, n Network, project string) error {
	if l.Type() != "bridge" {
		return fmt.Errorf("cannot use %q as the bridge of network %s: it is a %s link", n.Bridge, n.Name, l.Type())
	}
	alias := l.Attrs().Alias
	if alias != bridgeAlias(n.Project, n.ID) && alias != bridgeAlias(project, n.ID) && n.Bridge != BridgeName(n.ID) {
		return fmt.Errorf("cannot use %q as the bridge of network %s: the bridge exists and is not stack's", n.Bridge, n.Name)
	}
	return nil
}

func upToDate(a *netlink.LinkAttrs, n Network, alias string) bool {
	return a.Flags&net.FlagUp != 0 && a.Alias == alias && a.MTU == n.MTU && bytes.Equal(a.HardwareAddr, bridgeMAC(n.ID))
}

// bridgeRequests creates the bridge and names its owner in one batch, so that a
// crash leaves no bridge that nobody knows.
func bridgeRequests(n Network, ipv6 bool) []request {
	create := newRequest("create it", unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	create.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	create.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(n.Bridge))
	create.attr(unix.IFLA_ADDRESS, bridgeMAC(n.ID))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	// Without snooping every port gets multicast, as from a plain switch, and the
	// bridge has no need to announce itself.
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{0})
	create.AddData(info)
	alter := newRequest("alter it", unix.RTM_NEWLINK, 0)
	alter.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	alter.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(n.Bridge))
	alter.attr(unix.IFLA_IFALIAS, []byte(bridgeAlias(n.Project, n.ID)))
	if ipv6 && !n.IPv6 {
		alter.AddData(noLinkLocal())
	}
	return []request{create, alter}
}

func alterBridge(n Network, alias string) request {
	r := newRequest("set it up", unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	r.AddData(msg)
	r.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(n.Bridge))
	r.attr(unix.IFLA_IFALIAS, []byte(alias))
	r.attr(unix.IFLA_ADDRESS, bridgeMAC(n.ID))
	r.attr(unix.IFLA_MTU, nl.Uint32Attr(uint32(n.MTU)))
	return r
}

// bridgeSysctls keeps containers from configuring the host: with IPv6 a router
// advertisement from one would give the host addresses and routes.
func (h *Host) bridgeSysctls(n Network) error {
	if !h.ipv6 {
		return nil
	}
	conf := filepath.Join("net/ipv6/conf", n.Bridge)
	return h.run(h.space, func() error {
		if !n.IPv6 {
			return ensureSysctl(filepath.Join(conf, "disable_ipv6"), "1")
		}
		return errorsOf(
			ensureSysctl(filepath.Join(conf, "disable_ipv6"), "0"),
			ensureSysctl(filepath.Join(conf, "accept_ra"), "0"),
			ensureSysctl(filepath.Join(conf, "accept_redirects"), "0"),
		)
	})
}

func errorsOf(errs ...error) error {
	var all *multierror.Error
	for _, err := range errs {
		if err != nil {
			all = multierror.Append(all, err)
		}
	}
	return all.ErrorOrNil()
}

// bridgeAddresses gives the bridge its networks' gateways and no other address.
func (h *Host) bridgeAddresses(n Network, index int, have []netip.Prefix) error {
	var want []netip.Prefix
	for _, p := range n.Pools {
		want = append(want, p.bridgeAddr())
	}
	var batch []request
	for _, a := range want {
		if !slices.Contains(have, a) {
			batch = append(batch, (&plug{index: index}).address(a))
		}
	}
	for _, a := range have {
		if !slices.Contains(want, a) && !a.Addr().IsLinkLocalUnicast() {
			batch = append(batch, deleteAddress(index, a))
		}
	}
	if err := h.do(batch...); err != nil {
		return fmt.Errorf("cannot address bridge %q: %w", n.Bridge, err)
	}
	return nil
}

func deleteAddress(index int, a netip.Prefix) request {
	r := newRequest("delete address "+a.String(), unix.RTM_DELADDR, 0, unix.EADDRNOTAVAIL)
	msg := nl.NewIfAddrmsg(int(family(a.Addr())))
	msg.Prefixlen = uint8(a.Bits())
	msg.Index = uint32(index)
	r.AddData(msg)
	r.attr(unix.IFA_LOCAL, a.Addr().AsSlice())
	return r
}

// ensureRouteLocalnet lets replies from a bridge reach clients on the host's
// loopback. It is lowered only where no other project may need it.
func (h *Host) ensureRouteLocalnet(n Network, needed, alone bool) error {
	if !needed && !alone {
		return nil
	}
	value := map[bool]string{true: "1", false: "0"}[needed]
	return h.run(h.space, func() error {
		return ensureSysctl(filepath.Join("net/ipv4/conf", n.Bridge, "route_localnet"), value)
	})
}

// takenSubnets lists what a new subnet must not overlap: the host's addresses
// and routes (but for default ones, however they are split) and the subnets of
// the other networks.
func (h *Host) takenSubnets(others []record, v *kernelView) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, addrs := range v.addrs {
		for _, a := range addrs {
			out = append(out, a.Masked())
		}
	}
	routes, err := h.routes(v)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		out = append(out, r.Prefix)
	}
	for _, r := range others {
		for _, p := range r.Network.Pools {
			out = append(out, p.Subnet.Masked())
		}
		out = append(out, r.Network.ServicePools...)
	}
	return out, nil
}

// routes are the subnets that routes of any table lead to, but for default ones.
func (h *Host) routes(v *kernelView) ([]hostSubnet, error) {
	names := map[int]string{}
	for name, l := range v.byName {
		names[l.Attrs().Index] = name
	}
	var out []hostSubnet
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		routes, err := dumped(h, func() ([]netlink.Route, error) {
			return h.link.RouteListFiltered(family, all, netlink.RT_FILTER_TABLE)
		})
		if err != nil && !(family == netlink.FAMILY_V6 && !h.ipv6) {
			return nil, fmt.Errorf("cannot list routes: %w", err)
		}
		for _, r := range routes {
			if p, ok := prefixOf(r.Dst); ok && p.Bits() > 1 && !p.Addr().IsMulticast() {
				out = append(out, hostSubnet{p.Masked(), names[r.LinkIndex]})
			}
		}
	}
	return out, nil
}

// defaultMTU is that of the link the default route leaves through.
func (h *Host) defaultMTU(v *kernelView) int {
	routes, err := dumped(h, func() ([]netlink.Route, error) { return h.link.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return 1500
	}
	for _, r := range routes {
		if p, ok := prefixOf(r.Dst); ok && p.Bits() > 0 {
			continue
		}
		for _, l := range v.byName {
			if l.Attrs().Index == r.LinkIndex {
				return l.Attrs().MTU
			}
		}
	}
	return 1500
}
