package dns

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// forwarder asks upstreams. Each query goes out from a socket of its own, so that
// the port is as random as the ID (RFC 5452 §9.2).
type forwarder struct {
	host    *hostServers
	timeout time.Duration
	slots   chan struct{}

	mu      sync.Mutex
	pending map[asked]int // what is under way, to know our own query coming back
}

// asked identifies a query as an upstream gets it.
type asked struct {
	id    uint16
	name  string
	qtype uint16
}

func newForwarder(hostConf string, timeout time.Duration, limit int) *forwarder {
	return &forwarder{
		host:    &hostServers{file: hostConf},
		timeout: timeout,
		slots:   make(chan struct{}, limit),
		pending: map[asked]int{},
	}
}

// forward gives the reply to a query that is not ours to answer.
func (c *client) forward(q *query, tcp bool) *dns.Msg {
	up := c.server.source.Upstreams(c.container)
	servers := up.Servers
	if up.None {
		return q.unknown()
	}
	f := c.server.forward
	if len(servers) == 0 {
		servers = f.host.servers()
	}
	if f.isOurs(q) {
		return q.failure()
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return q.failure()
	}
	return f.ask(c.ctx, servers, q, tcp)
}

// unknown is the reply where nobody may be asked. A name of one label can only
// have been a container's; of any other nothing is known.
func (q *query) unknown() *dns.Msg {
	name, ok := q.name()
	if ok && !strings.Contains(name, ".") {
		return q.reply(dns.RcodeNameError)
	}
	return q.failure()
}

// ask tries the servers in turn until one gives an answer that is more than an
// excuse.
func (f *forwarder) ask(ctx context.Context, servers []netip.AddrPort, q *query, tcp bool) *dns.Msg {
	out := q.clean()
	var excuse *dns.Msg
	for _, server := range servers {
		m, err := f.askOne(ctx, server, out, tcp)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			continue
		}
		m.Id = q.msg.Id
		switch m.Rcode {
		case dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented:
			excuse = m
			continue
		}
		return m
	}
	if excuse != nil {
		return excuse
	}
	return q.failure()
}

// askOne asks one server, over TCP if the client did or the answer is too long.
func (f *forwarder) askOne(ctx context.Context, server netip.AddrPort, out *dns.Msg, tcp bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	out.Id = randomID()
	defer f.remember(out)()
	data, err := out.Pack()
	if err != nil {
		return nil, err
	}
	if tcp {
		return exchangeTCP(ctx, server, out, data)
	}
	m, err := exchangeUDP(ctx, server, out, data)
	if err != nil || !m.Truncated {
		return m, err
	}
	if long, err := exchangeTCP(ctx, server, out, data); err == nil {
		return long, nil
	}
	return m, nil
}

// clean is the question with its flags and EDNS options and nothing else that the
// client may have put into the message.
func (q *query) clean() *dns.Msg {
	out := new(dns.Msg)
	out.RecursionDesired, out.CheckingDisabled, out.AuthenticatedData = q.msg.RecursionDesired, q.msg.CheckingDisabled, q.msg.AuthenticatedData
	out.Question = []dns.Question{q.question}
	if opt := q.msg.IsEdns0(); opt != nil {
		out.Extra = []dns.RR{dns.Copy(opt)}
	}
	return out
}

func randomID() uint16 {
	var b [2]byte
	crand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}

func askedBy(m *dns.Msg) asked {
	q := m.Question[0]
	return asked{id: m.Id, name: strings.ToLower(q.Name), qtype: q.Qtype}
}

// remember notes that m is under way, until the returned function is called.
func (f *forwarder) remember(m *dns.Msg) (forget func()) {
	key := askedBy(m)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending[key]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.pending[key]--; f.pending[key] == 0 {
			delete(f.pending, key)
		}
	}
}

// isOurs says whether q is a query of ours that an upstream which leads back to us
// asks again; forwarding it would go round until every slot is taken.
func (f *forwarder) isOurs(q *query) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pending[askedBy(q.msg)] > 0
}

// replies are buffers for datagrams of upstreams.
var replies = sync.Pool{New: func() any { return new([maxMessage]byte) }}

func exchangeUDP(ctx context.Context, server netip.AddrPort, out *dns.Msg, data []byte) (*dns.Msg, error) {
	conn, err := dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer onDone(ctx, func() { conn.Close() })()
	if _, err := conn.Write(data); err != nil {
		return nil, err
	}
	buf := replies.Get().(*[maxMessage]byte)
	defer replies.Put(buf)
	for {
		n, err := conn.Read(buf[:])
		if err != nil {
			return nil, err
		}
		// Anything else may be forged: wait for the real one.
		if m, err := checked(out, buf[:n]); err == nil {
			return m, nil
		}
	}
}

func exchangeTCP(ctx context.Context, server netip.AddrPort, out *dns.Msg, data []byte) (*dns.Msg, error) {
	conn, err := dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer onDone(ctx, func() { conn.Close() })()
	if err := writeFrame(conn, data); err != nil {
		return nil, err
	}
	reply, err := readFrame(conn, maxMessage)
	if err != nil {
		return nil, err
	}
	return checked(out, reply)
}

func dial(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, server.String())
}

// checked gives the reply if it is one to out.
func checked(out *dns.Msg, data []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(data); err != nil && !m.Truncated {
		return nil, err
	}
	if !m.Response || m.Id != out.Id || m.Opcode != out.Opcode || len(m.Question) != 1 {
		return nil, errors.New("not a reply to this query")
	}
	got, want := m.Question[0], out.Question[0]
	if got.Qtype != want.Qtype || got.Qclass != want.Qclass || !strings.EqualFold(got.Name, want.Name) {
		return nil, errors.New("a reply to another question")
	}
	m.Question[0] = want
	return m, nil
}
