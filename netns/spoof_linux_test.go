package netns

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// arp is a forged reply: ip is at mac, told to a place.
func arp(to, mac net.HardwareAddr, ip, target netip.Addr) []byte {
	frame := append(append(append([]byte{}, to...), mac...), 0x08, 0x06)
	frame = append(frame, 0, 1, 8, 0, 6, 4, 0, 2)
	a, b := ip.As4(), target.As4()
	return append(append(append(append(frame, mac...), a[:]...), to...), b[:]...)
}

// frames sends frames as they are out of a container.
func (l *lab) frames(c container, frames ...[]byte) {
	l.t.Helper()
	l.in(c.ns, func() {
		link, err := netlink.LinkByName("eth0")
		must(l.t, err)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		must(l.t, err)
		defer unix.Close(fd)
		for _, f := range frames {
			must(l.t, unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}))
		}
	})
}

func (l *lab) mac(c container) (mac net.HardwareAddr) {
	l.t.Helper()
	l.in(c.ns, func() {
		link, err := netlink.LinkByName("eth0")
		must(l.t, err)
		mac = link.Attrs().HardwareAddr
	})
	return mac
}

// A container on a shared network that claims the gateway's or a neighbour's address
// gets none of the traffic between them and the host: the host and the containers
// know each other for good, and the bridge knows who is at which port. What containers
// say to one another a neighbour with NET_RAW can draw to itself, as on any Ethernet.
func TestForgedNeighbours(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	h := l.open("shop")
	front := network("shop", "front")
	victim, evil := l.container("web"), l.container("evil")
	must(t, h.Apply(ctx, Config{
		Networks: []Network{front}, Endpoints: append(endpoints("web", front), endpoints("evil", front)...),
	}))
	web, other := l.attach(h, victim, front)[0], l.attach(h, evil, front)[0]
	gateway := netip.MustParseAddr(gatewayOf(t, h, front))
	l.serve(victim.ns, ":80", "victim")
	l.serve(evil.ns, ":80", "evil")
	l.serve(l.host, ":90", "host")
	everyone := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	theirs, own, bridge := l.mac(victim), l.mac(evil), net.HardwareAddr(bridgeMAC(front.ID))
	l.reaches("before", l.host, at(web.IPv4, 80), "victim")

	for range 3 {
		l.frames(evil,
			arp(everyone, own, gateway, gateway), arp(theirs, own, gateway, web.IPv4), // "the gateway is here"
			arp(everyone, own, web.IPv4, web.IPv4), arp(bridge, own, web.IPv4, gateway), // "the victim is here"
			arp(everyone, theirs, web.IPv4, web.IPv4), arp(bridge, theirs, web.IPv4, gateway), // from the victim's address
			arp(everyone, bridge, gateway, gateway), arp(theirs, bridge, gateway, web.IPv4)) // from the gateway's
	}
	l.reaches("host to victim", l.host, at(web.IPv4, 80), "victim")
	l.reaches("victim to host", victim.ns, at(gateway, 90), "host")
	l.reaches("the forger itself", l.host, at(other.IPv4, 80), "evil")
}
