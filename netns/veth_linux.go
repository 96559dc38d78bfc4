package netns

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Attributes that x/sys/unix does not name (linux/if_link.h).
const (
	inet6AddrGenMode = 8 // IFLA_INET6_ADDR_GEN_MODE
	addrGenNone      = 1 // IN6_ADDR_GEN_MODE_NONE
	brportIsolated   = 33
	ntfSticky        = 1 << 6 // NTF_STICKY (linux/neighbour.h): the address stays at its port
)

// plug is one veth pair to be: everything that the kernel is told about it.
type plug struct {
	endpoint Endpoint
	lease    Lease
	network  Network
	bridge   int // the bridge's index
	mtu      int
	mode     portMode
	alias    string
	mac      net.HardwareAddr
	index    int // of the container's side, once it exists
	// tap is the name of a machine's device, empty for a container; tapIndex its.
	tap      string
	tapIndex int
}

// hostRequests makes the pair, its peer at once in the container's namespace.
// The host's side comes up only when its port is isolated, if it has to be.
func (p *plug) hostRequests(ns vnetns.NsHandle, ipv6 bool) []request {
	create := newRequest("create link "+p.lease.Link, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	create.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	create.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.lease.Link))
	create.attr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(p.bridge)))
	create.attr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.mtu)))
	oneQueue(create.attr)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peerAttr := func(kind int, data []byte) { peer.AddRtAttr(kind, data) }
	peerAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.endpoint.IfName))
	peerAttr(unix.IFLA_ADDRESS, p.mac)
	peerAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(p.mtu)))
	peerAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns)))
	oneQueue(peerAttr)
	create.AddData(info)

	alter := newRequest("alter link "+p.lease.Link, unix.RTM_NEWLINK, 0)
	alter.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	alter.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.lease.Link))
	alter.attr(unix.IFLA_IFALIAS, []byte(p.alias))
	if ipv6 {
		alter.AddData(noLinkLocal())
	}
	if p.mode != (portMode{}) {
		alter.AddData(p.mode.attr())
	}
	up := linkUp(p.lease.Link)
	return append([]request{create, alter, up}, neighbours("neighbour of "+p.network.Bridge, p.bridge, p.mac, p.lease.IPv4, p.lease.IPv6)...)
}

// oneQueue avoids a queue per processor, each with its sysfs directories: a veth
// without XDP uses one only.
func oneQueue(attr func(int, []byte)) {
	attr(unix.IFLA_NUM_TX_QUEUES, nl.Uint32Attr(1))
	attr(unix.IFLA_NUM_RX_QUEUES, nl.Uint32Attr(1))
}

func linkUp(name string) request {
	r := newRequest("set up link "+name, unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	r.AddData(msg)
	r.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	return r
}

// noLinkLocal keeps IPv6 from giving a link an address (and multicast traffic)
// when it comes up, so it must be said in a request before that.
func noLinkLocal() *nl.RtAttr {
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(inet6AddrGenMode, []byte{addrGenNone})
	return spec
}

// portMode is how a bridge treats one of its ports.
type portMode struct {
	// isolated ports exchange no frames with each other.
	isolated bool
	// hairpin lets a frame leave by the port it came from. Where bridged packets
	// pass the firewall, a container's packet to its own published port does.
	hairpin bool
}

func (m portMode) attr() *nl.RtAttr {
	flag := map[bool][]byte{false: {0}, true: {1}}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
	data.AddRtAttr(brportIsolated, flag[m.isolated])
	data.AddRtAttr(nl.IFLA_BRPORT_MODE, flag[m.hairpin])
	return info
}

// neighbours enters permanent entries; the table that all namespaces share
// counts only the others.
func neighbours(what string, index int, mac net.HardwareAddr, addrs ...netip.Addr) (out []request) {
	for _, a := range addrs {
		if a.IsValid() {
			r := neighbour("add "+what, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, index, a)
			r.attr(netlink.NDA_LLADDR, mac)
			out = append(out, r)
		}
	}
	return out
}

func neighbour(what string, kind, flags, index int, a netip.Addr, ignore ...unix.Errno) request {
	r := newRequest(what, kind, flags, ignore...)
	r.AddData(&netlink.Ndmsg{Family: family(a), Index: uint32(index), State: netlink.NUD_PERMANENT})
	r.attr(netlink.NDA_DST, a.AsSlice())
	return r
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// linkRequests is the first batch inside: loopback and the links up. The last
// len(plugs) replies tell the links' indexes.
func linkRequests(plugs []*plug, ipv6 bool) []request {
	out := []request{loopbackUp()}
	for _, p := range plugs {
		if ipv6 && !p.lease.IPv6.IsValid() {
			alter := newRequest("alter "+p.endpoint.IfName, unix.RTM_NEWLINK, 0)
			alter.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
			alter.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.endpoint.IfName))
			alter.AddData(noLinkLocal())
			out = append(out, alter)
		}
		out = append(out, linkUp(p.endpoint.IfName))
	}
	for _, p := range plugs {
		get := newRequest("find "+p.endpoint.IfName, unix.RTM_GETLINK, 0)
		get.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		get.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(p.endpoint.IfName))
		out = append(out, get)
	}
	return out
}

func loopbackUp() request {
	r := newRequest("set up lo", unix.RTM_NEWLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = 1 // always, in a network namespace
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	r.AddData(msg)
	return r
}

// addressRequests is the second batch inside: addresses, the gateway's
// neighbour entry and the default routes.
func (p *plug) addressRequests() (out []request) {
	if p.tap != "" {
		out = p.tapRequests()
	} else {
		for _, a := range p.addresses() {
			out = append(out, p.address(a))
		}
	}
	for _, pool := range p.network.Pools {
		own := p.lease.IPv6
		if pool.Subnet.Addr().Is4() {
			own = p.lease.IPv4
		}
		if !own.IsValid() || !pool.Subnet.Contains(own) {
			continue
		}
		gw := pool.gateway()
		out = append(out, neighbours("the gateway's neighbour entry", p.index, bridgeMAC(p.network.ID), gw)...)
		if p.endpoint.Default && !p.network.Internal {
			out = append(out, p.defaultRoute(gw))
		}
	}
	for _, pool := range p.network.ServicePools {
		if pool.Addr().Is4() && p.lease.IPv4.IsValid() || pool.Addr().Is6() && p.lease.IPv6.IsValid() {
			out = append(out, p.serviceRoute(pool))
		}
	}
	return out
}

// addresses lists the endpoint's addresses with the lengths of their subnets.
func (p *plug) addresses() (out []netip.Prefix) {
	for _, a := range []netip.Addr{p.lease.IPv4, p.lease.IPv6} {
		for _, pool := range p.network.Pools {
			if a.IsValid() && pool.Subnet.Contains(a) {
				out = append(out, netip.PrefixFrom(a, pool.Subnet.Bits()))
			}
		}
	}
	for _, a := range p.endpoint.LinkLocal {
		length := 64
		if a.Is4() {
			length = 16
		}
		out = append(out, netip.PrefixFrom(a, length))
	}
	return out
}

func (p *plug) address(a netip.Prefix) request { return p.addressOf(a, a.Addr().IsLinkLocalUnicast()) }

func (p *plug) addressOf(a netip.Prefix, linkOnly bool) request {
	r := newRequest("add address "+a.String(), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewIfAddrmsg(int(family(a.Addr())))
	msg.Prefixlen = uint8(a.Bits())
	msg.Index = uint32(p.index)
	if linkOnly {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	r.AddData(msg)
	r.attr(unix.IFA_LOCAL, a.Addr().AsSlice())
	r.attr(unix.IFA_ADDRESS, a.Addr().AsSlice())
	if a.Addr().Is4() {
		r.attr(unix.IFA_BROADCAST, lastAddr(a).AsSlice())
	} else {
		// The address is unique by its lease; looking for duplicates would keep
		// it unusable for a second.
		r.attr(unix.IFA_FLAGS, nl.Uint32Attr(unix.IFA_F_NODAD))
	}
	return r
}

// serviceRoute makes packets to service addresses leave by this interface, with
// its address as their source; by then they are translated.
func (p *plug) serviceRoute(pool netip.Prefix) request {
	return routeOn("add route to services "+pool.String(), pool, p.index)
}

func routeOn(what string, to netip.Prefix, index int) request {
	r := newRequest(what, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewRtMsg()
	msg.Family, msg.Dst_len = family(to.Addr()), uint8(to.Bits())
	if to.Addr().Is4() {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	r.AddData(msg)
	r.attr(unix.RTA_DST, to.Addr().AsSlice())
	r.attr(unix.RTA_OIF, nl.Uint32Attr(uint32(index)))
	return r
}

func (p *plug) defaultRoute(gw netip.Addr) request {
	r := newRequest("add default route through "+gw.String(), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := nl.NewRtMsg()
	msg.Family = family(gw)
	r.AddData(msg)
	r.attr(unix.RTA_GATEWAY, gw.AsSlice())
	r.attr(unix.RTA_OIF, nl.Uint32Attr(uint32(p.index)))
	return r
}

// connect makes the pairs of one container. Links left by an earlier attempt
// are replaced.
func (h *Host) connect(s *space, plugs []*plug) error {
	inside, err := h.openInside(s)
	if err != nil {
		return err
	}
	defer inside.Close()
	h.kernel.Lock()
	defer h.kernel.Unlock()
	if err := h.makePairs(s, plugs); err != nil {
		return err
	}
	if err := h.makeTaps(s, plugs); err != nil {
		return err
	}
	replies, err := inside.do(linkRequests(plugs, h.ipv6)...)
	if err != nil {
		return err
	}
	if err := h.tuneTaps(s, plugs); err != nil {
		return err
	}
	var second []request
	for i, p := range plugs {
		reply := replies[len(replies)-len(plugs)+i]
		if len(reply) < unix.SizeofIfInfomsg {
			return errors.New("cannot find link " + p.endpoint.IfName + ": empty answer")
		}
		p.index = int(nl.DeserializeIfInfomsg(reply).Index)
		second = append(second, p.addressRequests()...)
	}
	if _, err = inside.do(second...); err != nil {
		return err
	}
	replies, err = h.route.do(settleRequests(plugs)...)
	if err != nil {
		return err
	}
	_, err = h.route.do(stationRequests(plugs, replies)...)
	return err
}

// stationRequests tell bridges where their containers are, from the answers to
// settleRequests.
func stationRequests(plugs []*plug, replies [][]byte) (out []request) {
	for i, p := range plugs {
		if reply := replies[2*i]; len(reply) >= unix.SizeofIfInfomsg {
			out = append(out, station(p.lease.Link, int(nl.DeserializeIfInfomsg(reply).Index), p.mac))
		}
	}
	return out
}

// station tells a bridge which port an address is at, for good. A bridge learns
// that from what comes in: until a container sends, and again when it was silent
// for five minutes, what is meant for it would be flooded to every port, where
// others see it and where it uses up their bandwidth; and whoever sends with
// another's address would draw its traffic to himself.
func station(name string, index int, mac net.HardwareAddr) request {
	r := newRequest("station "+name, unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, unix.ENODEV)
	r.AddData(&netlink.Ndmsg{Family: unix.AF_BRIDGE, Index: uint32(index), State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER | ntfSticky})
	r.attr(netlink.NDA_LLADDR, mac)
	return r
}

func settleRequests(plugs []*plug) (out []request) {
	for _, p := range plugs {
		out = append(out, settle(p.lease.Link), settle(p.network.Bridge))
	}
	return out
}

// settle makes the kernel notice that a link has a carrier: by itself it does so
// later, from a work queue, and until then drops what is sent to the container,
// whose first connection would then wait a second. Asking for a link (since
// Linux 6.8) does that work first; done for a port, it tells the bridge.
func settle(name string) request {
	r := newRequest("find link "+name, unix.RTM_GETLINK, 0, unix.ENODEV)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	return r
}

func (h *Host) makePairs(s *space, plugs []*plug) error {
	var batch []request
	for _, p := range plugs {
		batch = append(batch, p.hostRequests(s.ns, h.ipv6)...)
	}
	_, err := h.route.do(batch...)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	for _, p := range plugs {
		if _, err := h.route.do(deleteLink(p.lease.Link)); err != nil {
			return err
		}
	}
	_, err = h.route.do(batch...)
	return err
}

// openInside readies a container's namespace for links and opens a route socket in it,
// which keeps acting there whichever thread uses it.
func (h *Host) openInside(s *space) (r *rtnl, err error) {
	err = h.run(s, func() error {
		if err := distrust(); err != nil {
			return err
		}
		r, err = openRtnl()
		return err
	})
	return r, err
}

func deleteLink(name string) request {
	r := newRequest("delete link "+name, unix.RTM_DELLINK, 0, unix.ENODEV)
	r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	r.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	return r
}
