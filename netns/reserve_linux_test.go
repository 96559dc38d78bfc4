package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReserveTakesThePort(t *testing.T) {
	l := newLab(t)
	h := l.open("shop")
	for _, protocol := range []string{"tcp", "udp"} {
		for _, host := range []string{"", "127.0.0.1", hostAddr, hostAddr6, "::1"} {
			p := Port{Container: "web", Protocol: protocol, HostPort: 8080, Target: 80}
			if host != "" {
				p.HostIP = netip.MustParseAddr(host)
			}
			f, err := h.Reserve(p)
			must(t, err)
			_, err = h.Reserve(p)
			want := fmt.Sprintf("port %v is taken by %.15s (pid %d)", p, filepath.Base(os.Args[0]), os.Getpid())
			if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("second reservation of %v: %v; want %q", p, err, want)
			}
			l.in(l.host, func() {
				for _, addr := range []string{"127.0.0.1:8080", "[::1]:8080", hostAddr + ":8080", ":8080"} {
					clash := host == "" || addr == net.JoinHostPort(host, "8080") || addr == ":8080"
					if err := tryListen(protocol, addr); (err != nil) != clash {
						t.Errorf("%v is reserved; listening on %s %s: %v", p, protocol, addr, err)
					}
				}
			})
			f.Close()
		}
	}
	_, err := h.Reserve(Port{Container: "web", Protocol: "tcp", HostPort: 80, Target: 80, HostIP: netip.MustParseAddr("192.0.2.77")})
	if err == nil || !strings.Contains(err.Error(), "no such address") {
		t.Errorf("a foreign address: %v", err)
	}
}

// tryListen does as servers do, which set SO_REUSEADDR (and Go does too).
func tryListen(protocol, addr string) error {
	if protocol == "udp" {
		c, err := net.ListenPacket("udp", addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	c, err := net.Listen("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err
}

// A server that was just stopped leaves connections in TIME_WAIT.
func TestReserveAfterAServer(t *testing.T) {
	l := newLab(t)
	h := l.open("shop")
	l.in(l.host, func() {
		s, err := net.Listen("tcp", "127.0.0.1:8080")
		must(t, err)
		c, err := net.Dial("tcp", "127.0.0.1:8080")
		must(t, err)
		a, err := s.Accept()
		must(t, err)
		a.Close() // the server closes first
		c.Read(make([]byte, 1))
		c.Close()
		s.Close()
	})
	f, err := h.Reserve(Port{Container: "web", Protocol: "tcp", HostPort: 8080, Target: 80})
	must(t, err)
	f.Close()
}

func TestProxyServesWhatRulesCannot(t *testing.T) {
	l, ctx := newLab(t), context.Background()
	h := l.open("shop")
	front := network("shop", "front")
	web := l.container("web")
	c := Config{Networks: []Network{front}, Endpoints: endpoints("web", front)}
	for _, p := range []string{"tcp", "udp"} {
		c.Ports = append(c.Ports, Port{Container: "web", Protocol: p, HostPort: 8080, Target: 80})
	}
	must(t, h.Apply(ctx, c))
	lease := l.attach(h, web, front)[0]
	l.serve(web.ns, ":80", "web")
	to := func() (netip.AddrPort, bool) { return netip.AddrPortFrom(lease.IPv4, 80), true }

	tcp, err := h.Reserve(c.Ports[0])
	must(t, err)
	udp, err := h.Reserve(c.Ports[1])
	must(t, err)
	listener, err := Listen(tcp)
	must(t, err)
	packets, err := net.FilePacketConn(udp)
	must(t, err)
	ctx, cancel := context.WithCancel(ctx)
	done, clients := make(chan error, 2), DefaultClients()
	// The proxy's own sockets are made in the lab's host namespace.
	go func() { done <- ProxyTCP(ctx, listener, h.inLab(to, l), clients) }()
	go func() { done <- ProxyUDP(ctx, packets, h.inLab(to, l), clients) }()
	l.reaches("::1", l.host, "[::1]:8080", "proxied")
	l.reaches("IPv6 neighbour of an IPv4 container", l.neighbour, net.JoinHostPort(hostAddr6, "8080"), "proxied")
	l.reaches("IPv4 goes by rule", l.host, "127.0.0.1:8080", "web")
	cancel()
	for range 2 {
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("a proxy did not end")
		}
	}
	if _, err := h.Reserve(c.Ports[0]); err == nil {
		t.Error("the port was given up with its proxy")
	}
	runtime.KeepAlive(tcp) // it is what holds the port
	runtime.KeepAlive(udp)
}

// inLab replaces the container by a server outside the lab's namespaces, since a
// proxy dials from the namespace of the process.
func (h *Host) inLab(_ Target, l *lab) Target {
	home, err := os.Open("/proc/thread-self/ns/net")
	must(l.t, err)
	l.t.Cleanup(func() { home.Close() })
	var addr netip.AddrPort
	l.in(home, func() {
		s, err := net.Listen("tcp", "127.0.0.1:0")
		must(l.t, err)
		addr = s.Addr().(*net.TCPAddr).AddrPort()
		s.Close()
	})
	l.serve(home, addr.String(), "proxied")
	return func() (netip.AddrPort, bool) { return addr, true }
}

func TestResolverInside(t *testing.T) {
	l := newLab(t)
	h := l.open("shop")
	c := l.container("c")
	must(t, h.Loopback(context.Background(), c.pid))
	udp, tcp, err := h.ListenDNS("c", c.pid)
	must(t, err)
	defer udp.Close()
	defer tcp.Close()
	packets, err := net.FilePacketConn(udp)
	must(t, err)
	defer packets.Close()
	listener, err := net.FileListener(tcp)
	must(t, err)
	defer listener.Close()
	for range 2 { // a Host that comes later tells the same
		must(t, l.open("shop").ResumeDNS("c", c.pid, udp, tcp))
	}
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			packets.WriteTo(append([]byte("answer "), b[:n]...), from)
		}
	}()
	go func() {
		for {
			a, err := listener.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(a, "answer tcp")
			a.Close()
		}
	}()
	// The client's socket is connected: it takes answers from :53 only. Another
	// server may own :53 meanwhile.
	l.serve(c.ns, "127.0.0.1:53", "the container's own")
	for _, protocol := range []string{"udp", "tcp"} {
		got, err := l.ask(c.ns, protocol, ResolverAddr+":53", patience)
		if err != nil || !strings.HasPrefix(got, "answer ") {
			t.Errorf("%s query: %q, %v", protocol, got, err)
		}
	}
	l.reaches("the container's own :53", c.ns, "127.0.0.1:53", "the container's own")
	if _, _, err := h.ListenDNS("c", os.Getpid()); err == nil {
		t.Error("sockets were made in the host's namespace")
	}
}
