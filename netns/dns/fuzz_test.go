package dns

import (
	"context"
	"testing"

	"github.com/miekg/dns"
)

func FuzzQuery(f *testing.F) {
	good, _ := new(dns.Msg).SetQuestion("four.", dns.TypeA).Pack()
	f.Add(good)
	edns, _ := new(dns.Msg).SetQuestion("9.0.0.10.in-addr.arpa.", dns.TypePTR).SetEdns0(4096, true).Pack()
	f.Add(edns)
	s := NewServer(Options{Source: &fakeSource{names: testNames, upstreams: Upstreams{None: true}}})
	c := &client{server: s, container: "c1", slots: make(chan struct{}, 1), ctx: context.Background()}
	f.Fuzz(func(t *testing.T, data []byte) {
		reply := c.queryTCP(data)
		if reply == nil {
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(reply); err != nil {
			t.Fatalf("the reply does not unpack: %v", err)
		}
		if !m.Response || m.Id != uint16(data[0])<<8|uint16(data[1]) {
			t.Fatalf("not a reply to this query: %v", m)
		}
	})
}

func FuzzReply(f *testing.F) {
	q := new(dns.Msg).SetQuestion("example.com.", dns.TypeA)
	good, _ := fixed(3)(q, true).Pack()
	f.Add(good[2:])
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append([]byte{byte(q.Id >> 8), byte(q.Id)}, data...)
		m, err := checked(q, data)
		if err != nil {
			return
		}
		for _, size := range []int{minUDP, maxUDP, maxMessage} {
			if reply := (&query{msg: q, question: q.Question[0], maxReply: size}).pack(m); len(reply) > size {
				t.Fatalf("%d bytes for a client that takes %d", len(reply), size)
			}
		}
	})
}
