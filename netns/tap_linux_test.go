package netns

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// guest is a namespace behind a container's tap, as a virtual machine is: a cable
// through this process joins the two devices.
func (l *lab) guest(c container, lease Lease) *os.File {
	l.t.Helper()
	ns := newNamespace(l.t)
	var outer, inner *os.File
	l.in(c.ns, func() { outer = openTapFor(l.t, lease.Tap.Name) })
	l.in(ns, func() {
		inner = openTapFor(l.t, "eth0")
		link, err := netlink.LinkByName("eth0")
		must(l.t, err)
		mac, err := net.ParseMAC(lease.MAC)
		must(l.t, err)
		must(l.t, netlink.LinkSetHardwareAddr(link, mac))
		must(l.t, netlink.LinkSetMTU(link, lease.Tap.MTU))
		addressLink(l.t, "lo", "")
		var addresses []string
		for _, a := range lease.Tap.Addresses {
			addresses = append(addresses, a.String())
		}
		addressLink(l.t, "eth0", addresses...)
		for _, r := range lease.Tap.Routes {
			to := &net.IPNet{IP: r.Destination.Addr().AsSlice(), Mask: net.CIDRMask(r.Destination.Bits(), r.Destination.Addr().BitLen())}
			route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: to}
			if r.Via.IsValid() {
				route.Gw = r.Via.AsSlice()
			} else {
				route.Scope = netlink.SCOPE_LINK
			}
			must(l.t, netlink.RouteAdd(route))
		}
	})
	go cable(outer, inner)
	go cable(inner, outer)
	l.t.Cleanup(func() { outer.Close(); inner.Close() })
	return ns
}

func openTapFor(t testing.TB, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(t, err)
	r, err := unix.NewIfreq(name)
	must(t, err)
	r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	must(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, r))
	return os.NewFile(uintptr(fd), name)
}

func cable(from, to *os.File) {
	frame := make([]byte, 64<<10)
	for {
		n, err := from.Read(frame)
		if err != nil {
			return
		}
		if _, err := to.Write(frame[:n]); err != nil && err != io.ErrShortWrite {
			return
		}
	}
}

// TestTap: the addresses of a tap's endpoint are the machine's behind it; who is on the
// network, on the host and outside reaches it there, and it them, by address and by the
// services'; also itself.
func TestTap(t *testing.T) {
	l := newLab(t)
	h := l.open("shop")
	n := network("shop", "front")
	n.IPv6 = true
	other, machine := l.container("other"), l.container("machine")
	eps := endpoints("machine", n)
	eps[0].Tap = true
	want := Config{
		Networks: []Network{n}, Endpoints: append(endpoints("other", n), eps...),
		Services: []Service{
			{Name: "vm", Network: n.ID, Names: []string{"vm"}, Backends: []string{"machine"}},
			{Name: "plain", Network: n.ID, Names: []string{"plain"}, Backends: []string{"other"}},
			{Name: "nobody", Network: n.ID, Names: []string{"nobody"}},
		},
		Ports: []Port{{Container: "machine", Protocol: "tcp", HostPort: 8080, Target: 80}},
	}
	must(t, h.Apply(t.Context(), want))
	m := &mesh{pool: &pool{lab: l}}
	otherLease := m.move(h, other, n)[0]
	got, err := h.Attach(t.Context(), eps, machine.pid)
	must(t, err)
	udp, tcp, err := h.ListenDNS("machine", machine.pid)
	must(t, err)
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	lease := got[0]
	if lease.Tap == nil || !lease.Routed {
		t.Fatalf("lease %+v has no tap", lease)
	}
	must(t, h.Balance(t.Context(), want))
	must(t, h.Lead(t.Context()))
	guest := l.guest(machine, lease)
	l.serve(guest, ":80", "machine")
	l.serve(other.ns, ":80", "other")

	services, err := h.Services(n.ID)
	must(t, err)
	at4 := map[string]netip.Addr{}
	at6 := map[string]netip.Addr{}
	for _, s := range services {
		at4[s.Names[0]], at6[s.Names[0]] = s.IPv4, s.IPv6
	}
	for _, addr := range []netip.Addr{lease.IPv4, lease.IPv6, at4["vm"], at6["vm"]} {
		l.answers("a container", other.ns, at(addr, 80), "machine")
	}
	for _, addr := range []netip.Addr{otherLease.IPv4, otherLease.IPv6, at4["plain"], at6["plain"], at4["vm"], at6["vm"]} {
		name := "other"
		if addr == at4["vm"] || addr == at6["vm"] {
			name = "machine"
		}
		l.answers("the machine", guest, at(addr, 80), name)
	}
	l.answers("the host", l.host, at(lease.IPv4, 80), "machine")
	if got, err := l.ask(l.neighbour, "tcp", hostAddr+":8080", patience); err != nil || !strings.HasPrefix(got, "machine "+neighbourAddr) {
		t.Errorf("the published port answers %q, %v", got, err)
	}
	l.misses("a service without backends", guest, at(at4["nobody"], 80))

	// Each side sees the other as it is.
	for from, who := range map[*os.File]string{guest: lease.IPv4.String(), other.ns: otherLease.IPv4.String()} {
		to := otherLease.IPv4
		if from == other.ns {
			to = lease.IPv4
		}
		got, err := l.ask(from, "tcp", at(to, 80), patience)
		if _, saw, _ := strings.Cut(got, " "); err != nil || !strings.Contains(saw, who) {
			t.Errorf("%s was seen as %q, %v", who, saw, err)
		}
	}

	// A controller that comes later knows it for a machine.
	again := l.open("shop")
	must(t, again.Apply(t.Context(), want))
	must(t, again.ResumeDNS("machine", machine.pid, udp, tcp))
	must(t, again.Lead(t.Context()))
	l.answers("the machine, after a change of controllers", guest, at(at4["plain"], 80), "other")
	seen, err := again.Observe(t.Context(), map[string]int{"machine": machine.pid, "other": other.pid})
	must(t, err)
	if len(seen.Broken) > 0 {
		t.Errorf("broken: %v", fmt.Sprint(seen.Broken))
	}
}
