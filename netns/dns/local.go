package dns

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ttl is in seconds. Replicas come and go, so answers must not be kept; 0 would
// make nginx and the like ask for every request.
const ttl = 1

// local answers what the Source knows; nil for what must be forwarded.
func (s *Server) local(container string, q *query) *dns.Msg {
	name, ok := q.name()
	if !ok {
		return nil
	}
	if q.question.Qtype == dns.TypePTR {
		if addr, ok := reverseAddr(name); ok {
			return s.localReverse(container, q, addr)
		}
		return nil
	}
	addrs, ok, err := s.source.Lookup(container, name)
	if err != nil {
		s.log.Warn("cannot look a name up", "container", container, "error", err)
		return q.failure()
	}
	if !ok {
		return nil
	}
	// A name that exists without a record of this type is NOERROR: with NXDOMAIN a
	// client that asks for AAAA first would take it for unknown altogether.
	m := q.reply(dns.RcodeSuccess)
	m.Authoritative = true
	for _, addr := range shuffled(addrs) {
		if rr := addressRecord(q.question, addr); rr != nil {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

func (s *Server) localReverse(container string, q *query, addr netip.Addr) *dns.Msg {
	name, ok := s.source.Reverse(container, addr)
	if !ok {
		return nil
	}
	m := q.reply(dns.RcodeSuccess)
	m.Authoritative = true
	m.Answer = []dns.RR{&dns.PTR{Hdr: header(q.question, dns.TypePTR), Ptr: dns.Fqdn(name)}}
	return m
}

// shuffled gives addrs in a random order, since most clients take the first.
func shuffled(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, j := range rand.Perm(len(addrs)) {
		out[i] = addrs[j].Unmap()
	}
	return out
}

// addressRecord is nil for an address of another family than is asked for.
func addressRecord(q dns.Question, addr netip.Addr) dns.RR {
	any := q.Qtype == dns.TypeANY
	switch {
	case addr.Is4() && (any || q.Qtype == dns.TypeA):
		return &dns.A{Hdr: header(q, dns.TypeA), A: addr.AsSlice()}
	case addr.Is6() && (any || q.Qtype == dns.TypeAAAA):
		return &dns.AAAA{Hdr: header(q, dns.TypeAAAA), AAAA: addr.AsSlice()}
	}
	return nil
}

func header(q dns.Question, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: q.Name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

// reverseAddr reads a name of in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596
// §2.5).
func reverseAddr(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		return reverse4(strings.Split(rest, "."))
	}
	if rest, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		return reverse6(strings.Split(rest, "."))
	}
	return netip.Addr{}, false
}

func reverse4(labels []string) (netip.Addr, bool) {
	var b [4]byte
	if len(labels) != len(b) {
		return netip.Addr{}, false
	}
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[3-i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

func reverse6(labels []string) (netip.Addr, bool) {
	var b [16]byte
	if len(labels) != 2*len(b) {
		return netip.Addr{}, false
	}
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 16, 4)
		if err != nil || len(label) != 1 {
			return netip.Addr{}, false
		}
		b[15-i/2] |= byte(n) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), true
}
