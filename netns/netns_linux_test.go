package netns

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestPublishedPortIsReachedFromEverywhere(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		name := map[bool]string{false: "IPv4", true: "IPv6"}[v6]
		t.Run(name, func(t *testing.T) { testPublish(t, v6, "0") })
		t.Run(name+", bridged packets filtered", func(t *testing.T) { testPublish(t, v6, "1") })
	}
}

func testPublish(t *testing.T, v6 bool, bridgeNF string) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	l.cmd("sysctl -w net.bridge.bridge-nf-call-iptables=" + bridgeNF + " net.bridge.bridge-nf-call-ip6tables=" + bridgeNF)
	was := l.picture()
	h := l.open("shop")
	front, back := network("shop", "front"), network("shop", "back")
	front.IPv6, back.IPv6 = v6, v6
	web, peer, other := l.container("web"), l.container("peer"), l.container("other")
	c := Config{
		Networks:  []Network{front, back},
		Endpoints: append(append(endpoints("web", front), endpoints("peer", front)...), endpoints("other", back)...),
	}
	for _, p := range []string{"tcp", "udp"} {
		c.Ports = append(c.Ports,
			Port{Container: "web", Protocol: p, HostPort: 8080, Target: 80},
			Port{Container: "web", Protocol: p, HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 8081, Target: 80},
			Port{Container: "web", Protocol: p, HostIP: netip.MustParseAddr(hostAddr), HostPort: 8082, Target: 80},
			Port{Container: "web", Protocol: p, HostIP: netip.MustParseAddr(hostAddr6), HostPort: 8083, Target: 80})
	}
	must(t, h.Apply(ctx, c))
	lease := l.attach(h, web, front)[0]
	l.attach(h, peer, front)
	l.attach(h, other, back)
	l.serve(web.ns, ":80", "web")
	l.serve(web.ns, ":9", "private")
	l.serve(l.neighbour, ":7", "outside")

	// A container must not configure the host by router advertisements.
	conf := "/proc/sys/net/ipv6/conf/" + BridgeName(front.ID)
	if got := l.cmd("cat " + conf + "/accept_ra " + conf + "/disable_ipv6"); v6 && got != "0\n0\n" || !v6 && !strings.HasSuffix(got, "\n1\n") {
		t.Errorf("accept_ra and disable_ipv6 of the bridge: %q", got)
	}
	if v6 {
		l.reaches("own address", l.host, at(netip.MustParseAddr(hostAddr6), 8080), "web")
		l.reaches("own address, specific", l.host, at(netip.MustParseAddr(hostAddr6), 8083), "web")
		l.reaches("neighbour", l.neighbour, at(netip.MustParseAddr(hostAddr6), 8080), "web")
		if bridgeNF == "1" {
			// On a busy machine br_netfilter gives the first answer to the client with the
			// address before its translation (Linux 6.18): TCP sends it again.
			l.answers("same network, bridged packets filtered", peer.ns, at(netip.MustParseAddr(hostAddr6), 8080), "web")
		}
		l.reaches("same network", peer.ns, at(netip.MustParseAddr(hostAddr6), 8080), "web")
		l.reaches("other network", other.ns, at(netip.MustParseAddr(hostAddr6), 8080), "web")
		l.reaches("itself", web.ns, at(netip.MustParseAddr(hostAddr6), 8080), "web")
		l.reaches("outward", peer.ns, at(netip.MustParseAddr(neighbourAddr6), 7), "outside")
		l.reaches("direct, same network", peer.ns, at(lease.IPv6, 9), "private")
		l.misses("direct, other network", other.ns, at(lease.IPv6, 80))
		must(t, h.Remove(ctx))
		same(t, was, l.picture())
		return
	}
	l.reaches("loopback", l.host, "127.0.0.1:8080", "web")
	l.reaches("loopback, specific", l.host, "127.0.0.1:8081", "web")
	l.reaches("own address", l.host, hostAddr+":8080", "web")
	l.reaches("own address, specific", l.host, hostAddr+":8082", "web")
	l.reaches("neighbour", l.neighbour, hostAddr+":8080", "web")
	l.reaches("neighbour, specific", l.neighbour, hostAddr+":8082", "web")
	l.misses("neighbour, loopback port", l.neighbour, hostAddr+":8081")
	l.reaches("same network", peer.ns, hostAddr+":8080", "web")
	l.reaches("other network", other.ns, hostAddr+":8080", "web")
	l.reaches("itself", web.ns, hostAddr+":8080", "web")
	l.reaches("outward", peer.ns, neighbourAddr+":7", "outside")
	l.reaches("direct, same network", peer.ns, at(lease.IPv4, 9), "private")
	l.reaches("direct, from the host", l.host, at(lease.IPv4, 9), "private")
	l.misses("direct, other network", other.ns, at(lease.IPv4, 80))

	must(t, h.Remove(ctx))
	same(t, was, l.picture())
}

func same(t *testing.T, want, got string) {
	t.Helper()
	if want != got {
		t.Errorf("before:\n%s\nafter:\n%s", want, got)
	}
}

func TestLoopbackOfTheHostIsOutOfReach(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	h := l.open("shop")
	front := network("shop", "front")
	c := l.container("web")
	must(t, h.Apply(ctx, Config{
		Networks: []Network{front}, Endpoints: endpoints("web", front),
		Ports: []Port{{Container: "web", Protocol: "tcp", HostPort: 8080, Target: 80}},
	}))
	lease := l.attach(h, c, front)[0]
	if got := l.cmd("cat /proc/sys/net/ipv4/conf/" + BridgeName(front.ID) + "/route_localnet"); got != "1\n" {
		t.Fatalf("route_localnet is %q; without it this test shows nothing", got)
	}
	var secret net.PacketConn
	l.in(l.host, func() {
		var err error
		secret, err = net.ListenPacket("udp4", ":9999")
		must(t, err)
	})
	defer secret.Close()
	for _, frame := range [][2]string{{lease.IPv4.String(), "127.0.0.1"}, {"127.0.0.1", "127.0.0.1"}, {lease.IPv4.String(), gatewayOf(t, h, front)}} {
		l.sendRaw(c, front, frame[0], frame[1], "to "+frame[1])
	}
	if got := receive(t, secret); got != "to "+gatewayOf(t, h, front) {
		t.Errorf("a raw frame reached the host's loopback: %q", got)
	}
	// The same frame arrives when our rules are gone: the test can see it.
	l.cmd("nft flush chain inet stack-shop raw")
	l.sendRaw(c, front, lease.IPv4.String(), "127.0.0.1", "control")
	if got := receive(t, secret); got != "control" {
		t.Errorf("control frame: %q", got)
	}
	// And Apply heals the table.
	must(t, h.Apply(ctx, h.applied.config))
	if rules := l.cmd("nft list chain inet stack-shop raw"); !strings.Contains(rules, "127.0.0.0/8 drop") {
		t.Errorf("Apply did not heal the raw chain:\n%s", rules)
	}
}

func gatewayOf(t *testing.T, h *Host, n Network) string {
	t.Helper()
	n, err := h.Lookup(n.ID)
	must(t, err)
	return n.Pools[0].gateway().String()
}

func receive(t *testing.T, c net.PacketConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 1500)
	n, _, err := c.ReadFrom(b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// sendRaw sends a UDP datagram to port 9999 as a frame made by hand.
func (l *lab) sendRaw(c container, n Network, from, to, text string) {
	l.t.Helper()
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	udp := binary.BigEndian.AppendUint16(nil, 1234)
	udp = binary.BigEndian.AppendUint16(udp, 9999)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(text)))
	udp = append(append(udp, 0, 0), text...)
	ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
	ip = append(append(ip, src[:]...), dst[:]...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	l.in(c.ns, func() {
		link, err := netlink.LinkByName("eth0")
		must(l.t, err)
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		must(l.t, err)
		defer unix.Close(fd)
		frame := append(append(append([]byte{}, bridgeMAC(n.ID)...), link.Attrs().HardwareAddr...), 0x08, 0x00)
		must(l.t, unix.Sendto(fd, append(append(frame, ip...), udp...), 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}))
	})
}

func TestNeighbourReachesOnlyWhatIsPublished(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	h := l.open("shop")
	front := network("shop", "front")
	c := l.container("web")
	must(t, h.Apply(ctx, Config{
		Networks: []Network{front}, Endpoints: endpoints("web", front),
		Ports: []Port{{Container: "web", Protocol: "tcp", HostPort: 8080, Target: 80}},
	}))
	lease := l.attach(h, c, front)[0]
	l.serve(c.ns, ":9", "private")
	l.in(l.neighbour, func() { l.route(netip.PrefixFrom(lease.IPv4, 24).Masked(), hostAddr) })
	l.misses("neighbour with a route", l.neighbour, at(lease.IPv4, 9))
	// The route works: without the rules there is an answer.
	l.cmd("nft flush chain inet stack-shop forward")
	l.reaches("control", l.neighbour, at(lease.IPv4, 9), "private")
}

func (l *lab) route(to netip.Prefix, via string) {
	l.t.Helper()
	must(l.t, netlink.RouteAdd(&netlink.Route{
		Dst: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())}, Gw: net.ParseIP(via),
	}))
}

// Stack enabling forwarding must not make a router of the machine.
func TestForeignLinksStayApart(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	second := newNamespace(t)
	l.in(l.host, func() {
		must(t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth1"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(second.Fd()),
		}))
		addressLink(t, "eth1", "203.0.113.1/24", "2001:db8:1::1/64")
	})
	l.in(second, func() {
		addressLink(t, "eth0", "203.0.113.2/24", "2001:db8:1::2/64")
		l.route(netip.MustParsePrefix("198.51.100.0/24"), "203.0.113.1")
		l.route(netip.MustParsePrefix("2001:db8::/64"), "2001:db8:1::1")
	})
	l.plugged(l.host, "eth1")
	l.in(l.neighbour, func() {
		l.route(netip.MustParsePrefix("203.0.113.0/24"), hostAddr)
		l.route(netip.MustParsePrefix("2001:db8:1::/64"), hostAddr6)
	})
	l.serve(second, ":7", "second")
	was := l.picture()
	h := l.open("shop")
	front := network("shop", "front")
	front.IPv6 = true
	must(t, h.Apply(ctx, Config{Networks: []Network{front}}))
	if got := l.cmd("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/eth0/accept_ra"); got != "1\n1\n2\n" {
		t.Errorf("forwarding and accept_ra: %q", got)
	}
	l.misses("IPv4 between foreign links", l.neighbour, "203.0.113.2:7")
	l.misses("IPv6 between foreign links", l.neighbour, "[2001:db8:1::2]:7")
	l.cmd("nft flush chain inet stack-shop forward")
	// Between links that are not ours the kernel may lose one while it resolves.
	l.answers("control", l.neighbour, "203.0.113.2:7", "second")
	l.answers("control", l.neighbour, "[2001:db8:1::2]:7", "second")
	must(t, h.Remove(ctx))
	same(t, was, l.picture())
}

func TestForwardingOfTheAdministratorIsLeftAlone(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	l.cmd("sysctl -w net.ipv4.ip_forward=1")
	h := l.open("shop")
	must(t, h.Apply(ctx, Config{Networks: []Network{network("shop", "front")}}))
	if got := l.cmd("nft list set inet stack-shop foreign4"); strings.Contains(got, "eth0") {
		t.Errorf("forwarding was on before, but is restricted:\n%s", got)
	}
	must(t, h.Remove(ctx))
	if got := l.cmd("cat /proc/sys/net/ipv4/ip_forward"); got != "1\n" {
		t.Errorf("forwarding was on before, and is now %q", got)
	}
}

func TestInternalNetwork(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	h := l.open("shop")
	inner, outer := network("shop", "inner"), network("shop", "outer")
	inner.Internal, inner.Masquerade = true, false
	a, b, both := l.container("a"), l.container("b"), l.container("both")
	c := Config{
		Networks:  []Network{inner, outer},
		Endpoints: append(append(endpoints("a", inner), endpoints("b", inner)...), endpoints("both", outer, inner)...),
		Ports:     []Port{{Container: "both", Protocol: "tcp", HostPort: 8080, Target: 80}, {Container: "both", Protocol: "udp", HostPort: 8080, Target: 80}},
	}
	must(t, h.Apply(ctx, c))
	l.attach(h, a, inner)
	peer := l.attach(h, b, inner)[0]
	l.attach(h, both, outer, inner)
	l.serve(b.ns, ":80", "b")
	l.serve(both.ns, ":80", "both")
	l.serve(l.host, ":7", "host")
	l.serve(l.neighbour, ":7", "outside")
	// A route by hand, as a process with the right to make one could.
	l.in(a.ns, func() { l.route(netip.MustParsePrefix("0.0.0.0/0"), gatewayOf(t, h, inner)) })

	l.reaches("same network", a.ns, at(peer.IPv4, 80), "b")
	l.reaches("host to container", l.host, at(peer.IPv4, 80), "b")
	l.misses("host by its gateway address", a.ns, gatewayOf(t, h, inner)+":7")
	l.misses("host by its uplink's address", a.ns, hostAddr+":7")
	l.misses("outside", a.ns, neighbourAddr+":7")
	l.misses("published port", a.ns, hostAddr+":8080")
	l.reaches("container on both, outside", both.ns, neighbourAddr+":7", "outside")
	l.reaches("container on both, published", l.neighbour, hostAddr+":8080", "both")
}

func TestIsolatedNetwork(t *testing.T) {
	for _, bridgeNF := range []string{"0", "1"} {
		t.Run("bridge-nf-call-iptables="+bridgeNF, func(t *testing.T) {
			t.Parallel()
			l, ctx := newLab(t), context.Background()
			l.cmd("sysctl -w net.bridge.bridge-nf-call-iptables=" + bridgeNF)
			h := l.open("shop")
			front := network("shop", "front")
			front.Isolated = true
			a, b := l.container("a"), l.container("b")
			c := Config{Networks: []Network{front}, Endpoints: append(endpoints("a", front), endpoints("b", front)...)}
			must(t, h.Apply(ctx, c))
			first, peer := l.attach(h, a, front)[0], l.attach(h, b, front)[0]
			l.serve(b.ns, ":80", "b")
			l.serve(l.neighbour, ":7", "outside")
			l.misses("neighbour on the network", a.ns, at(peer.IPv4, 80))
			l.reaches("outside", a.ns, neighbourAddr+":7", "outside")
			// Round the bridge's port isolation, through the host's routing.
			l.in(a.ns, func() { l.route(netip.PrefixFrom(peer.IPv4, 32), gatewayOf(t, h, front)) })
			l.in(b.ns, func() { l.route(netip.PrefixFrom(first.IPv4, 32), gatewayOf(t, h, front)) })
			l.misses("neighbour through the gateway", a.ns, at(peer.IPv4, 80))
			// Turned off, it is off for those attached already.
			c.Networks[0].Isolated = false
			must(t, h.Apply(ctx, c))
			l.reaches("neighbour, isolation off", a.ns, at(peer.IPv4, 80), "b")
			c.Networks[0].Isolated = true
			must(t, h.Apply(ctx, c))
			l.misses("neighbour, isolation on again", a.ns, at(peer.IPv4, 80))
		})
	}
}

// A client that goes on sending from one port must follow the port to its new
// container: the kernel's memory of the old one has to go.
func TestUDPClientsFollowThePort(t *testing.T) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	h := l.open("shop")
	front := network("shop", "front")
	old, next := l.container("old"), l.container("next")
	c := Config{
		Networks: []Network{front}, Endpoints: append(endpoints("old", front), endpoints("next", front)...),
		Ports: []Port{{Container: "old", Protocol: "udp", HostPort: 8080, Target: 80}},
	}
	must(t, h.Apply(ctx, Config{Networks: []Network{front}}))
	var client net.Conn
	l.in(l.neighbour, func() {
		var err error
		client, err = net.Dial("udp", hostAddr+":8080")
		must(t, err)
	})
	defer client.Close()
	ask := func() string {
		b := make([]byte, 100)
		for range 3 { // the first may only report that the port was refused before
			client.SetDeadline(time.Now().Add(patience / 4))
			if _, err := client.Write([]byte("?")); err != nil {
				continue
			}
			if n, err := client.Read(b); err == nil {
				who, _, _ := strings.Cut(string(b[:n]), " ")
				return who
			}
		}
		return "nobody"
	}
	client.Write([]byte("before it is published"))
	must(t, h.Apply(ctx, c))
	l.attach(h, old, front)
	l.serve(old.ns, ":80", "old")
	if got := ask(); got != "old" {
		t.Errorf("after publishing %s answers", got)
	}
	l.attach(h, next, front)
	l.serve(next.ns, ":80", "next")
	c.Ports[0].Container = "next"
	must(t, h.Apply(ctx, c))
	if got := ask(); got != "next" {
		t.Errorf("after the port moved %s answers", got)
	}
}
