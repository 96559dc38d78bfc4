package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// linkGroup marks the links of this run, so that one request removes them all.
func linkGroup() uint32 { return 0x5b000000 | uint32(os.Getpid())&0xffffff }

// subnet is what the floor uses behind its bridge; no host route leads there, as
// the bridge itself gets no address that others could clash with.
const subnetPrefix = 16

func addressOf(replica int) net.IP {
	return net.IPv4(198, 19, byte((replica+2)>>8), byte(replica+2)).To4()
}

func gateway() net.IP { return net.IPv4(198, 19, 0, 1).To4() }

func linkMessage(kind, flags uint16, index int32, up uint32) *request {
	return newRequest(kind, flags, unix.IfInfomsg{Family: unix.AF_UNSPEC, Index: index, Flags: up, Change: up})
}

// addBridge makes a bridge that is up and returns its index.
func (n *rtnetlink) addBridge(name string) (int, error) {
	r := linkMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, unix.IFF_UP).text(unix.IFLA_IFNAME, name)
	r.nest(unix.IFLA_LINKINFO, func(r *request) { r.text(unix.IFLA_INFO_KIND, "bridge") })
	if err := n.do(r); err != nil {
		return 0, fmt.Errorf("cannot create bridge %s: %w", name, err)
	}
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return link.Index, nil
}

// addVeth makes a pair whose peer is born in the network namespace of pid; bridge
// is the index of the host end's, 0 for none.
func (n *rtnetlink) addVeth(name string, bridge, pid int) error {
	r := linkMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, 0, unix.IFF_UP).
		text(unix.IFLA_IFNAME, name).number(unix.IFLA_MASTER, uint32(bridge)).number(unix.IFLA_GROUP, linkGroup())
	r.nest(unix.IFLA_LINKINFO, func(r *request) {
		r.text(unix.IFLA_INFO_KIND, "veth")
		r.nest(unix.IFLA_INFO_DATA, func(r *request) {
			r.nest(vethInfoPeer, func(r *request) {
				r.body = append(r.body, make([]byte, unix.SizeofIfInfomsg)...)
				r.text(unix.IFLA_IFNAME, "eth0").number(unix.IFLA_NET_NS_PID, uint32(pid))
			})
		})
	})
	if err := n.do(r); err != nil {
		return fmt.Errorf("cannot create veth %s: %w", name, err)
	}
	return nil
}

const vethInfoPeer = 1 // VETH_INFO_PEER of linux/veth.h

// configure brings lo and eth0 of a fresh namespace up with an address and a
// default route, in one packet. The first link after lo has index 2.
func (n *rtnetlink) configure(ip net.IP) error {
	address := newRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		unix.IfAddrmsg{Family: unix.AF_INET, Prefixlen: subnetPrefix, Index: ethIndex}).
		attr(unix.IFA_LOCAL, ip).attr(unix.IFA_ADDRESS, ip)
	route := newRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		unix.RtMsg{Family: unix.AF_INET, Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_BOOT, Scope: unix.RT_SCOPE_UNIVERSE, Type: unix.RTN_UNICAST}).
		attr(unix.RTA_GATEWAY, gateway())
	err := n.do(
		linkMessage(unix.RTM_NEWLINK, 0, loIndex, unix.IFF_UP),
		address,
		linkMessage(unix.RTM_NEWLINK, 0, ethIndex, unix.IFF_UP),
		route,
	)
	if err != nil {
		return fmt.Errorf("cannot configure eth0: %w", err)
	}
	return nil
}

const (
	loIndex  = 1
	ethIndex = 2
)

// delete removes a link, if it is there.
func (n *rtnetlink) delete(name string) error {
	err := n.do(linkMessage(unix.RTM_DELLINK, 0, 0, 0).text(unix.IFLA_IFNAME, name))
	if err != nil && err != unix.ENODEV {
		return fmt.Errorf("cannot remove link %s: %w", name, err)
	}
	return nil
}

// deleteGroup removes all links of a group in one go.
func (n *rtnetlink) deleteGroup(group uint32) error {
	err := n.do(linkMessage(unix.RTM_DELLINK, 0, 0, 0).number(unix.IFLA_GROUP, group))
	if err != nil && err != unix.ENODEV {
		return fmt.Errorf("cannot remove links of group %#x: %w", group, err)
	}
	return nil
}
