package dns

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestLocalNames(t *testing.T) {
	_, server := start(t, Options{Source: &fakeSource{names: testNames, upstreams: Upstreams{None: true}}})
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name  string
			qtype uint16
			rcode int
			want  string
		}{
			{"four.", dns.TypeA, dns.RcodeSuccess, "10.0.0.9"},
			{"FoUr.", dns.TypeA, dns.RcodeSuccess, "10.0.0.9"},
			{"four.", dns.TypeAAAA, dns.RcodeSuccess, ""}, // not NXDOMAIN
			{"four.", dns.TypeMX, dns.RcodeSuccess, ""},
			{"four.", dns.TypeHTTPS, dns.RcodeSuccess, ""},
			{"stopped.", dns.TypeA, dns.RcodeSuccess, ""},
			{"web.", dns.TypeAAAA, dns.RcodeSuccess, "fd00::2"},
			{"web.backend.", dns.TypeA, dns.RcodeSuccess, "10.0.0.2"},
			{"9.0.0.10.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "four."},
			{"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.D.F.ip6.arpa.", dns.TypePTR, dns.RcodeSuccess, "web."},
			{"nobody.", dns.TypeA, dns.RcodeNameError, ""},
			{"example.com.", dns.TypeA, dns.RcodeServerFailure, ""},
			{"fo\\.ur.", dns.TypeA, dns.RcodeServerFailure, ""},
			{".", dns.TypeNS, dns.RcodeServerFailure, ""},
		} {
			m := ask(t, network, server, c.name, c.qtype)
			if m.Rcode != c.rcode || answers(m) != c.want {
				t.Errorf("%s %s %s: %s %q, want %s %q", network, c.name, dns.TypeToString[c.qtype], dns.RcodeToString[m.Rcode], answers(m), dns.RcodeToString[c.rcode], c.want)
			}
			if m.Question[0].Name != c.name {
				t.Errorf("%s: the question became %s", c.name, m.Question[0].Name)
			}
			for _, rr := range m.Answer {
				if rr.Header().Ttl > 1 || rr.Header().Name != c.name {
					t.Errorf("%s: record %v", c.name, rr)
				}
			}
		}
	}
}

func TestRotation(t *testing.T) {
	_, server := start(t, Options{Source: &fakeSource{names: testNames}})
	first := map[string]int{}
	for range 100 {
		m := ask(t, "udp", server, "web.", dns.TypeA)
		if len(m.Answer) != 3 {
			t.Fatalf("answers %q", answers(m))
		}
		first[strings.Fields(answers(m))[0]]++
	}
	if len(first) != 3 {
		t.Errorf("the first answers were %v", first)
	}
}

func TestMalformed(t *testing.T) {
	_, server := start(t, Options{Source: &fakeSource{names: testNames, upstreams: Upstreams{None: true}}})
	good, _ := new(dns.Msg).SetQuestion("four.", dns.TypeA).Pack()
	change := func(f func(m *dns.Msg)) []byte {
		m := new(dns.Msg).SetQuestion("four.", dns.TypeA)
		f(m)
		data, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want int // -1: silence
	}{
		"empty":     {nil, -1},
		"short":     {good[:11], -1},
		"cut":       {good[:15], dns.RcodeFormatError},
		"response":  {change(func(m *dns.Msg) { m.Response = true }), -1},
		"notify":    {change(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		"two":       {change(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		"none":      {change(func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		"chaos":     {change(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }), dns.RcodeRefused},
		"axfr":      {change(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }), dns.RcodeRefused},
		"edns 1":    {change(func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
		"long name": {append(append([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, strings.Repeat("\x3f"+strings.Repeat("a", 63), 5)...), 0, 0, 1, 0, 1), dns.RcodeFormatError},
		"pointer":   {[]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}, dns.RcodeFormatError},
	} {
		conn, err := net.Dial("udp", server)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(c.data)
		conn.Write(good) // answered in order, so silence shows without waiting
		got := []int{}
		for {
			buf := make([]byte, 4096)
			conn.SetReadDeadline(time.Now().Add(3 * time.Second))
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(name, err)
			}
			m := new(dns.Msg)
			if err := m.Unpack(buf[:n]); err != nil {
				t.Fatal(name, err)
			}
			if answers(m) == "10.0.0.9" {
				break
			}
			got = append(got, m.Rcode)
		}
		want := []int{c.want}
		if c.want < 0 {
			want = []int{}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: replies %v, want %v", name, got, want)
		}
		conn.Close()
	}
}
