package dns

import (
	"context"
	"strings"

	"github.com/miekg/dns"
)

const (
	// maxMessage is the longest message over TCP.
	maxMessage = 65535
	// minUDP is what every resolver takes by UDP without EDNS: RFC 1035 §4.2.1.
	minUDP = 512
	// maxUDP bounds what a client may ask for, and is what we offer: it passes every
	// link without fragments (DNS flag day 2020).
	maxUDP = 1232
)

// query is a well-formed question of a container.
type query struct {
	msg      *dns.Msg
	question dns.Question
	maxReply int // bytes
}

// parse takes a query apart. What is not a question that can be answered gives no
// query; the reply tells the client so, or is nil to say nothing.
func parse(data []byte) (*query, []byte) {
	// Never answer an answer: two servers could go on for ever.
	if len(data) < 12 || data[2]&0x80 != 0 {
		return nil, nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(data); err != nil {
		header := new(dns.Msg)
		header.Id = uint16(data[0])<<8 | uint16(data[1])
		header.Response, header.Rcode = true, dns.RcodeFormatError
		reply, err := header.Pack()
		if err != nil {
			return nil, nil
		}
		return nil, reply
	}
	q := &query{msg: m, maxReply: minUDP}
	if rcode := refusal(m); rcode != dns.RcodeSuccess {
		return nil, q.pack(q.reply(rcode))
	}
	q.question = m.Question[0]
	return q, nil
}

// refusal says why a query cannot be answered.
func refusal(m *dns.Msg) int {
	switch opt := m.IsEdns0(); {
	case m.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case len(m.Question) != 1:
		return dns.RcodeFormatError
	case opt != nil && opt.Version() != 0:
		return dns.RcodeBadVers
	case m.Question[0].Qclass != dns.ClassINET:
		return dns.RcodeRefused
	case m.Question[0].Qtype == dns.TypeAXFR, m.Question[0].Qtype == dns.TypeIXFR:
		return dns.RcodeRefused
	}
	return dns.RcodeSuccess
}

// name is what is asked for, as a Source takes it; false for a name that no
// container can have.
func (q *query) name() (string, bool) {
	name := strings.ToLower(strings.TrimSuffix(q.question.Name, "."))
	return name, name != "" && !strings.Contains(name, `\`)
}

// udpSize is how much the client takes in one datagram.
func (q *query) udpSize() int {
	if opt := q.msg.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), minUDP), maxUDP)
	}
	return minUDP
}

// reply makes an empty answer.
func (q *query) reply(rcode int) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q.msg)
	m.RecursionAvailable = true
	if opt := q.msg.IsEdns0(); opt != nil {
		m.SetEdns0(maxUDP, opt.Do())
	}
	m.Rcode = rcode
	return m
}

func (q *query) failure() *dns.Msg { return q.reply(dns.RcodeServerFailure) }

// pack encodes a reply, truncated to what the client takes.
func (q *query) pack(m *dns.Msg) []byte {
	m.Compress = true
	m.Truncate(q.maxReply)
	data, err := m.Pack()
	if err != nil || len(data) > q.maxReply {
		// A forwarded answer that unpacks but does not pack, or that is signed and
		// so cannot be truncated.
		if data, err = q.failure().Pack(); err != nil {
			return nil
		}
	}
	return data
}

// onDone calls f when ctx ends, unless stop is called before.
func onDone(ctx context.Context, f func()) (stop func() bool) { return context.AfterFunc(ctx, f) }
