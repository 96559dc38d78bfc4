package netns
import ("testing";"fmt";"context";"net/netip";"github.com/vishvananda/netlink")
func TestDbg(t *testing.T) {
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

	_ = was
	l.cmd("nft flush chain inet stack-shop forward")
	fmt.Println(l.ask(l.neighbour, "tcp", "[2001:db8:1::2]:7"))
	fmt.Println(l.cmd("ip -6 neigh; ip -6 r; ip -6 a; nstat -a | grep 6; sysctl -a 2>/dev/null| grep 'ipv6.*forwarding'; cat /proc/net/nf_conntrack"))
	for _, ns := range []string{l.path(l.neighbour), l.path(second)} {
	out, _ := l.try(fmt.Sprintf("nsenter --net=%s sh -c 'ip -6 r; ip -6 neigh; ip -6 a; nstat -a | grep 6'", ns))
	fmt.Println(out)
	}
}
