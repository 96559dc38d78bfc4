package netns

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
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

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// redirect is an ICMP message as if from router: what goes to dst is better sent to
// via.
func redirect(to, mac net.HardwareAddr, router, victim, dst, via netip.Addr) []byte {
	header := func(protocol byte, length uint16, from, to netip.Addr) []byte {
		b := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0}
		binary.BigEndian.PutUint16(b[2:], length)
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		binary.BigEndian.PutUint16(b[10:], checksum(b))
		return b
	}
	message := append([]byte{5, 1, 0, 0}, via.AsSlice()...)
	message = append(append(message, header(1, 28, victim, dst)...), 0, 0, 0xff, 0xff, 0, 0, 0, 0) // of an echo reply
	binary.BigEndian.PutUint16(message[2:], checksum(message))
	frame := append(append(append([]byte{}, to...), mac...), 0x08, 0x00)
	return append(append(frame, header(1, uint16(20+len(message)), router, victim)...), message...)
}

// advertisement is an IPv6 router's, with a prefix for addresses.
func advertisement(mac net.HardwareAddr) []byte {
	from, all := netip.MustParseAddr("fe80::bad"), netip.MustParseAddr("ff02::1")
	message := []byte{134, 0, 0, 0, 64, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0,
		3, 4, 64, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	message = append(message, netip.MustParseAddr("2001:db8:bad::").AsSlice()...)
	pseudo := append(append(append([]byte{}, from.AsSlice()...), all.AsSlice()...), 0, 0, 0, byte(len(message)), 0, 0, 0, 58)
	binary.BigEndian.PutUint16(message[2:], checksum(append(pseudo, message...)))
	frame := append(append([]byte{0x33, 0x33, 0, 0, 0, 1}, mac...), 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(message)), 58, 255)
	return append(append(append(frame, from.AsSlice()...), all.AsSlice()...), message...)
}

// A container that calls itself a router, or speaks in the gateway's name, changes no
// route and no address of its neighbours.
func TestForgedRouters(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	h, front, victim, web, evil, other := l.neighbours()
	gateway, far := netip.MustParseAddr(gatewayOf(t, h, front)), netip.MustParseAddr("198.51.100.7")
	theirs, own := l.mac(victim), l.mac(evil)
	l.serve(evil.ns, ":80", "evil")
	routes := func() string {
		out, err := exec.Command("nsenter", "--net="+l.path(victim.ns), "sh", "-c",
			"ip -4 route get "+far.String()+"; ip -6 route show default; ip -6 addr show dev eth0 scope global").CombinedOutput()
		must(t, err)
		return string(out)
	}
	l.reaches("before", victim.ns, at(other.IPv4, 80), "evil") // only known neighbours take over
	before := routes()
	for range 3 {
		l.frames(evil, redirect(theirs, own, gateway, web.IPv4, far, other.IPv4), advertisement(own))
	}
	// What is sent after them has been answered: they have been received.
	l.reaches("victim to the forger", victim.ns, at(other.IPv4, 80), "evil")
	if after := routes(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// A container on a shared network that claims the gateway's or a neighbour's address
// gets none of the traffic between them and the host: the host and the containers
// know each other for good, and the bridge knows who is at which port. What containers
// say to one another a neighbour with NET_RAW can draw to itself, as on any Ethernet.
func TestForgedNeighbours(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	h, front, victim, web, evil, other := l.neighbours()
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

// neighbours are two containers on a network, web and the one that calls itself evil,
// with their leases.
func (l *lab) neighbours() (h *Host, front Network, victim container, web Lease, evil container, other Lease) {
	l.t.Helper()
	h, front = l.open("shop"), network("shop", "front")
	victim, evil = l.container("web"), l.container("evil")
	must(l.t, h.Apply(context.Background(), Config{
		Networks: []Network{front}, Endpoints: append(endpoints("web", front), endpoints("evil", front)...),
	}))
	return h, front, victim, l.attach(h, victim, front)[0], evil, l.attach(h, evil, front)[0]
}
