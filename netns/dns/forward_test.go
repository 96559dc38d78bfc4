package dns

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func upstream(t testing.TB, handler func(q *dns.Msg, tcp bool) *dns.Msg) netip.AddrPort {
	t.Helper()
	udp, tcp := listen(t)
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			if m := handler(q, s.Listener != nil); m != nil {
				w.WriteMsg(m)
			}
		})
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

func fixed(n int) func(q *dns.Msg, tcp bool) *dns.Msg {
	return func(q *dns.Msg, tcp bool) *dns.Msg {
		m := new(dns.Msg)
		m.SetReply(q)
		for i := range n {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, byte(i>>8), byte(i))})
		}
		if opt := q.IsEdns0(); !tcp {
			size := 512
			if opt != nil {
				size = int(opt.UDPSize())
			}
			m.Truncate(size)
		}
		return m
	}
}

func rcode(code int) func(q *dns.Msg, tcp bool) *dns.Msg {
	return func(q *dns.Msg, _ bool) *dns.Msg { return new(dns.Msg).SetRcode(q, code) }
}

func silent(*dns.Msg, bool) *dns.Msg { return nil }

func TestForward(t *testing.T) {
	dead := func() netip.AddrPort { // nobody listens here
		udp, tcp := listen(t)
		defer udp.Close()
		defer tcp.Close()
		return netip.MustParseAddrPort(udp.LocalAddr().String())
	}()
	good := upstream(t, fixed(1))
	for name, c := range map[string]struct {
		servers []netip.AddrPort
		rcode   int
		want    string
	}{
		"good":          {[]netip.AddrPort{good}, dns.RcodeSuccess, "192.0.0.0"},
		"dead first":    {[]netip.AddrPort{dead, good}, dns.RcodeSuccess, "192.0.0.0"},
		"silent first":  {[]netip.AddrPort{upstream(t, silent), good}, dns.RcodeSuccess, "192.0.0.0"},
		"servfail":      {[]netip.AddrPort{upstream(t, rcode(dns.RcodeServerFailure)), good}, dns.RcodeSuccess, "192.0.0.0"},
		"refused":       {[]netip.AddrPort{upstream(t, rcode(dns.RcodeRefused)), good}, dns.RcodeSuccess, "192.0.0.0"},
		"nxdomain":      {[]netip.AddrPort{upstream(t, rcode(dns.RcodeNameError)), good}, dns.RcodeNameError, ""},
		"all dead":      {[]netip.AddrPort{dead, dead}, dns.RcodeServerFailure, ""},
		"only excuses":  {[]netip.AddrPort{upstream(t, rcode(dns.RcodeRefused)), dead}, dns.RcodeRefused, ""},
		"only silenced": {[]netip.AddrPort{upstream(t, silent)}, dns.RcodeServerFailure, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, server := start(t, Options{Source: &fakeSource{names: testNames, upstreams: Upstreams{Servers: c.servers}}, Timeout: 300 * time.Millisecond})
			for _, network := range []string{"udp", "tcp"} {
				for _, q := range []string{"example.com.", "single."} {
					m := ask(t, network, server, q, dns.TypeA)
					if m.Rcode != c.rcode || answers(m) != c.want {
						t.Errorf("%s %s: %s %q, want %s %q", network, q, dns.RcodeToString[m.Rcode], answers(m), dns.RcodeToString[c.rcode], c.want)
					}
				}
			}
		})
	}
}

func TestLongAnswers(t *testing.T) {
	_, server := start(t, Options{Source: &fakeSource{upstreams: Upstreams{Servers: []netip.AddrPort{upstream(t, fixed(300))}}}})
	if m := ask(t, "tcp", server, "long.example.", dns.TypeA); len(m.Answer) != 300 || m.Truncated {
		t.Errorf("tcp: %d answers, truncated %v", len(m.Answer), m.Truncated)
	}
	for size, limit := range map[uint16]int{0: 512, 900: 900, 100: 512, 65535: maxUDP} {
		q := new(dns.Msg).SetQuestion("long.example.", dns.TypeA)
		if size > 0 {
			q.SetEdns0(size, false)
		}
		m := exchange(t, "udp", server, q)
		m.Compress = true
		if packed, _ := m.Pack(); !m.Truncated || len(m.Answer) == 0 || len(packed) > limit || len(packed) < limit-64 {
			t.Errorf("edns %d: %d answers, %d bytes, truncated %v", size, len(m.Answer), len(packed), m.Truncated)
		}
	}
}

func TestForgedReplies(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ports := make(chan int, 100)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			ports <- from.(*net.UDPAddr).Port
			q := new(dns.Msg)
			q.Unpack(buf[:n])
			send := func(change func(m *dns.Msg)) {
				m := fixed(1)(q, false)
				change(m)
				data, _ := m.Pack()
				conn.WriteTo(data, from)
			}
			evil := func(m *dns.Msg) { m.Answer[0].(*dns.A).A = net.IPv4(6, 6, 6, 6) }
			conn.WriteTo([]byte("garbage"), from)
			send(func(m *dns.Msg) { evil(m); m.Id++ })
			send(func(m *dns.Msg) { evil(m); m.Response = false })
			send(func(m *dns.Msg) { evil(m); m.Question[0].Name = "other.example." })
			send(func(m *dns.Msg) { evil(m); m.Question[0].Qtype = dns.TypeMX })
			send(func(m *dns.Msg) { evil(m); m.Question = nil })
			send(func(m *dns.Msg) {})
		}
	}()
	_, server := start(t, Options{Source: &fakeSource{upstreams: Upstreams{Servers: []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}}}})
	seen := map[int]bool{}
	for range 10 {
		if m := ask(t, "udp", server, "example.com.", dns.TypeA); answers(m) != "192.0.0.0" {
			t.Errorf("answers %q", answers(m))
		}
		seen[<-ports] = true
	}
	if len(seen) < 5 {
		t.Errorf("only %d source ports in 10 queries", len(seen))
	}
}

func TestForwardBound(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	up := upstream(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		if strings.HasPrefix(q.Question[0].Name, "slow") {
			asked.Add(1)
			<-release
		}
		return fixed(1)(q, tcp)
	})
	s, server := start(t, Options{Source: &fakeSource{names: testNames, upstreams: Upstreams{Servers: []netip.AddrPort{up}}}, Timeout: 10 * time.Second, MaxForwards: 6, MaxForwardsEach: 4})
	conn, err := net.Dial("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	replies := make(chan *dns.Msg, 100)
	go func() {
		defer close(replies)
		for {
			buf := make([]byte, 4096)
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			m := new(dns.Msg)
			m.Unpack(buf[:n])
			replies <- m
		}
	}()
	for i := range 10 {
		data, _ := new(dns.Msg).SetQuestion(fmt.Sprintf("slow%d.example.", i), dns.TypeA).Pack()
		conn.Write(data)
	}
	for range 6 {
		if m := <-replies; m.Rcode != dns.RcodeServerFailure {
			t.Errorf("above the bound: %v", m)
		}
	}
	if m := ask(t, "udp", server, "four.", dns.TypeA); answers(m) != "10.0.0.9" {
		t.Errorf("local name meanwhile: %v", m)
	}
	udp, tcp := listen(t)
	if err := s.Serve("c2", udp, tcp); err != nil {
		t.Fatal(err)
	}
	if m := ask(t, "udp", udp.LocalAddr().String(), "example.com.", dns.TypeA); m.Rcode != dns.RcodeSuccess {
		t.Errorf("another container meanwhile: %v", m)
	}
	close(release)
	for range 4 {
		if m := <-replies; m.Rcode != dns.RcodeSuccess {
			t.Errorf("within the bound: %v", m)
		}
	}
}

func TestLoop(t *testing.T) {
	src := &fakeSource{}
	var asked atomic.Int32
	var back atomic.Value
	up := upstream(t, func(q *dns.Msg, _ bool) *dns.Msg {
		asked.Add(1)
		m, err := dns.Exchange(q, back.Load().(string))
		if err != nil {
			return nil
		}
		return m
	})
	src.upstreams.Servers = []netip.AddrPort{up}
	_, server := start(t, Options{Source: src})
	back.Store(server)
	began := time.Now()
	m := ask(t, "udp", server, "example.com.", dns.TypeA)
	if m.Rcode != dns.RcodeServerFailure || asked.Load() != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("%s after %d rounds and %v", dns.RcodeToString[m.Rcode], asked.Load(), time.Since(began))
	}
}
