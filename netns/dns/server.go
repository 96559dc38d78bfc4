package dns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Source knows the names of containers. Its methods are called for every query,
// from many goroutines, and must be quick.
type Source interface {
	// Lookup gives the addresses that name has for container: lower case, without
	// a final dot, such as "web", "web-1" or "web.backend". False for a name that
	// is not ours; true without addresses for one that is. An error says that nobody
	// can tell: the client is to ask again, and no other server.
	Lookup(container, name string) ([]netip.Addr, bool, error)
	// Reverse gives the name of an address on one of container's networks.
	Reverse(container string, addr netip.Addr) (string, bool)
	// Upstreams gives the name servers for everything else.
	Upstreams(container string) Upstreams
}

// Upstreams are the name servers that a container's other questions go to.
type Upstreams struct {
	// Servers are asked in this order; empty means those of the host.
	Servers []netip.AddrPort
	// None forbids forwarding, for containers on internal networks only.
	None bool
}

// Options configure a Server. All but Source may be left zero.
type Options struct {
	Source Source
	Log    *slog.Logger
	// HostConf is the resolv.conf with the host's name servers; it is read again
	// whenever it changed. Default /etc/resolv.conf.
	HostConf string
	// Timeout is how long each upstream is waited for. Default 2 s.
	Timeout time.Duration
	// MaxForwards bounds the forwarded queries under way, MaxForwardsEach those of
	// one container. Defaults 512 and 64. What exceeds them gets SERVFAIL.
	MaxForwards, MaxForwardsEach int
}

// Server answers the queries of any number of containers.
type Server struct {
	source  Source
	log     *slog.Logger
	forward *forwarder
	eachMax int

	mu     sync.Mutex
	served map[string]*client
	closed bool
}

// NewServer makes a server without containers.
func NewServer(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.HostConf == "" {
		o.HostConf = "/etc/resolv.conf"
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.MaxForwards == 0 {
		o.MaxForwards = 512
	}
	if o.MaxForwardsEach == 0 {
		o.MaxForwardsEach = 64
	}
	return &Server{
		source:  o.Source,
		log:     o.Log,
		forward: newForwarder(o.HostConf, o.Timeout, o.MaxForwards),
		eachMax: o.MaxForwardsEach,
		served:  map[string]*client{},
	}
}

// client is one container's sockets.
type client struct {
	server    *Server
	container string
	udp       net.PacketConn
	tcp       net.Listener
	slots     chan struct{} // forwarded queries under way
	conns     chan struct{} // TCP connections open
	ctx       context.Context
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// Serve answers container's queries on udp and tcp, either of which may be nil,
// until Drop or Close. It takes the sockets over and returns at once. Sockets that
// the container had before are closed.
func (s *Server) Serve(container string, udp net.PacketConn, tcp net.Listener) error {
	c := &client{server: s, container: container, udp: udp, tcp: tcp,
		slots: make(chan struct{}, s.eachMax), conns: make(chan struct{}, maxConns)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	s.mu.Lock()
	old := s.served[container]
	if s.closed {
		s.mu.Unlock()
		c.stop()
		return errors.New("cannot serve names: the server is closed")
	}
	s.served[container] = c
	// Under the lock, so that a Drop finds the goroutines to wait for.
	if udp != nil {
		c.running.Go(c.serveUDP)
	}
	if tcp != nil {
		c.running.Go(c.serveTCP)
	}
	s.mu.Unlock()
	if old != nil {
		old.stop()
	}
	return nil
}

// Drop closes container's sockets and returns when nothing of it runs any more.
// A container that is not served is no error.
func (s *Server) Drop(container string) {
	s.mu.Lock()
	c := s.served[container]
	delete(s.served, container)
	s.mu.Unlock()
	if c != nil {
		c.stop()
	}
}

// Close drops every container; Serve fails from then on.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	all := s.served
	s.served = map[string]*client{}
	s.mu.Unlock()
	for _, c := range all {
		c.stop()
	}
}

// stop closes everything and waits for the goroutines.
func (c *client) stop() {
	c.cancel()
	if c.udp != nil {
		c.udp.Close()
	}
	if c.tcp != nil {
		c.tcp.Close()
	}
	c.running.Wait()
}

// pause waits after a failed accept or read, for instance for want of
// descriptors; false when the client is stopped.
func (c *client) pause() bool {
	select {
	case <-time.After(50 * time.Millisecond):
		return true
	case <-c.ctx.Done():
		return false
	}
}
