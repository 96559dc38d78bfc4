package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Rules cannot redirect ::1 (the kernel routes nothing from it to another link),
// nor IPv6 clients to a container that has IPv4 only. Both reach the reserved
// socket instead, from which a proxy serves them.

// Target tells where a proxy is to send a new client; ok is false while no
// container can take it.
type Target func() (addr netip.AddrPort, ok bool)

// udpIdle is how long a UDP client is remembered, as long as the kernel's
// connection tracking remembers an answered one.
const udpIdle = 120 * time.Second

// ProxyTCP serves a listener made by [Listen] until ctx ends or the listener is
// closed, then drops the connections it carries. It accepts while there is room among
// clients.
func ProxyTCP(ctx context.Context, l net.Listener, to Target, clients Clients) error {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for clients.enter(ctx) {
		client, err := l.Accept()
		if err != nil {
			clients.leave()
		}
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			if transient(err) {
				select { // out of descriptors, most likely: let others finish
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			return fmt.Errorf("cannot accept on %v: %w", l.Addr(), err)
		}
		serving.Go(func() {
			defer clients.leave()
			relay(ctx, client, to)
		})
	}
	return ctx.Err()
}

func transient(err error) bool {
	var e interface{ Temporary() bool }
	return errors.As(err, &e) && e.Temporary()
}

// relay copies both ways; the end of one direction is passed on as such.
func relay(ctx context.Context, client net.Conn, to Target) {
	defer client.Close()
	addr, ok := to()
	if !ok {
		refuse(client)
		return
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	server, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		refuse(client)
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pour(server, client) })
	both.Go(func() { pour(client, server) })
	both.Wait()
}

// refuse makes the end of a connection a reset, as from a port that is closed.
func refuse(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
}

func pour(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if c, ok := to.(*net.TCPConn); ok && err == nil {
		c.CloseWrite()
		return
	}
	to.Close()
	from.Close()
}

// ProxyUDP serves a reserved UDP socket until ctx ends or it is closed. A new client is
// dropped where there is no room among clients.
func ProxyUDP(ctx context.Context, c net.PacketConn, to Target, clients Clients) error {
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	p := &udpProxy{conn: c, clients: clients, sessions: make(map[string]net.Conn)}
	b := make([]byte, 64<<10)
	for {
		n, client, err := c.ReadFrom(b)
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return ctx.Err()
		}
		if err != nil {
			continue // an ICMP error for an earlier answer
		}
		if s := p.session(ctx, client, to, &serving); s != nil {
			s.Write(b[:n])
		}
	}
}

type udpProxy struct {
	conn     net.PacketConn
	clients  Clients
	mu       sync.Mutex
	sessions map[string]net.Conn
}

// session finds a client's socket towards the container, or makes it.
func (p *udpProxy) session(ctx context.Context, client net.Addr, to Target, serving *sync.WaitGroup) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := client.String()
	if s := p.sessions[key]; s != nil {
		s.SetReadDeadline(time.Now().Add(udpIdle))
		return s
	}
	addr, ok := to()
	if !ok || !p.clients.tryEnter() {
		return nil
	}
	s, err := net.Dial("udp", addr.String())
	if err != nil {
		p.clients.leave()
		return nil
	}
	s.SetReadDeadline(time.Now().Add(udpIdle))
	p.sessions[key] = s
	serving.Go(func() {
		defer p.clients.leave()
		defer context.AfterFunc(ctx, func() { s.Close() })()
		p.answer(s, client)
		p.mu.Lock()
		delete(p.sessions, key)
		p.mu.Unlock()
		s.Close()
	})
	return s
}

// answer carries answers back until the session idles out or is closed.
func (p *udpProxy) answer(s net.Conn, client net.Addr) {
	b := make([]byte, 64<<10)
	for {
		n, err := s.Read(b)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			continue // the container refused a datagram; it may take the next
		}
		s.SetReadDeadline(time.Now().Add(udpIdle))
		if _, err := p.conn.WriteTo(b[:n], client); err != nil {
			return
		}
	}
}
