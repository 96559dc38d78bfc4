package dns

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

type fakeSource struct {
	names     map[string][]string
	upstreams Upstreams
}

func (f *fakeSource) Lookup(container, name string) ([]netip.Addr, bool, error) {
	if container == "stranger" {
		return nil, false, nil
	}
	if name == "torn" {
		return nil, false, errors.New("cannot read names")
	}
	list, ok := f.names[name]
	var addrs []netip.Addr
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, ok, nil
}

func (f *fakeSource) Reverse(_ string, addr netip.Addr) (string, bool) {
	for name, list := range f.names {
		for _, a := range list {
			if netip.MustParseAddr(a) == addr {
				return name, true
			}
		}
	}
	return "", false
}

func (f *fakeSource) Upstreams(string) Upstreams { return f.upstreams }

var testNames = map[string][]string{
	"web":         {"10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::2"},
	"four":        {"10.0.0.9"},
	"web.backend": {"10.0.0.2"},
	"stopped":     {},
}

func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

func start(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	s := NewServer(o)
	t.Cleanup(s.Close)
	udp, tcp := listen(t)
	if err := s.Serve("c1", udp, tcp); err != nil {
		t.Fatal(err)
	}
	return s, udp.LocalAddr().String()
}

func ask(t testing.TB, network, server, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	return exchange(t, network, server, m)
}

func exchange(t testing.TB, network, server string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 5 * time.Second, UDPSize: 65535}
	r, _, err := c.Exchange(m, server)
	if err != nil {
		t.Fatalf("%s %s: %v", network, m.Question[0].Name, err)
	}
	return r
}

func answers(m *dns.Msg) string {
	var list []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			list = append(list, rr.A.String())
		case *dns.AAAA:
			list = append(list, rr.AAAA.String())
		case *dns.PTR:
			list = append(list, rr.Ptr)
		}
	}
	return strings.Join(list, " ")
}
