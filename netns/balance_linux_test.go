package netns

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// pool is a service of three containers that publish one port.
type pool struct {
	*lab
	h        *Host
	net      Network
	replicas []container
	leases   []Lease
	nextPort int // of UDP clients
}

func newPool(t *testing.T, v6 bool) *pool {
	p := &pool{lab: newLab(t), net: network("shop", "front"), nextPort: 10000}
	p.net.IPv6 = v6
	p.h = p.open("shop")
	c := Config{Networks: []Network{p.net}, Ports: p.ports()}
	for i := range 3 {
		r := p.container(fmt.Sprint("web", i))
		p.replicas = append(p.replicas, r)
		c.Endpoints = append(c.Endpoints, endpoints(r.id, p.net)...)
	}
	must(t, p.h.Apply(t.Context(), c))
	for _, r := range p.replicas {
		p.leases = append(p.leases, p.attach(p.h, r, p.net)...)
		p.serve(r.ns, ":80", r.id)
	}
	return p
}

// ports publishes 8080 of all; the replicas given by index rest.
func (p *pool) ports(resting ...int) (out []Port) {
	for i := range 3 {
		for _, protocol := range []string{"tcp", "udp"} {
			out = append(out, Port{
				Container: fmt.Sprint("web", i), Service: "web", Protocol: protocol, HostPort: 8080, Target: 80,
				Resting: slices.Contains(resting, i),
			})
		}
	}
	return out
}

// askedTimes is enough for a replica to be missed by chance once in 10^10 runs.
const askedTimes = 60

// answering is who answers new clients, sorted.
func (p *pool) answering(protocol, addr string) (who []string) {
	p.t.Helper()
	for range askedTimes {
		got, err := p.askAnew(protocol, addr)
		if err != nil {
			p.t.Fatalf("%s %s: %v", protocol, addr, err)
		}
		id, _, _ := strings.Cut(got, " ")
		if !slices.Contains(who, id) {
			who = append(who, id)
		}
	}
	slices.Sort(who)
	return who
}

// askAnew asks as a client that was never seen: a UDP port used twice within two
// minutes would be the same client.
func (p *pool) askAnew(protocol, addr string) (answer string, err error) {
	if protocol == "tcp" {
		return p.ask(p.neighbour, protocol, addr, patience)
	}
	p.nextPort++
	p.in(p.neighbour, func() {
		d := net.Dialer{LocalAddr: &net.UDPAddr{Port: p.nextPort}}
		var c net.Conn
		if c, err = d.Dial("udp", addr); err == nil {
			defer c.Close()
			answer = talk{c}.who()
		}
	})
	return answer, err
}

func (p *pool) answered(addr string, want ...string) {
	p.t.Helper()
	for _, protocol := range []string{"tcp", "udp"} {
		if got := p.answering(protocol, addr); !slices.Equal(got, want) {
			p.t.Errorf("%s %s is answered by %v, want %v", protocol, addr, got, want)
		}
	}
}

func TestPublishedPortIsBalanced(t *testing.T) {
	for name, addr := range map[string]string{"IPv4": hostAddr, "IPv6": hostAddr6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ctx := newPool(t, name == "IPv6"), t.Context()
			addr := net.JoinHostPort(addr, "8080")
			p.answered(addr, "web0", "web1", "web2")
			must(t, p.h.Balance(ctx, Config{Ports: p.ports(1)}))
			p.answered(addr, "web0", "web2")
			must(t, p.h.Balance(ctx, Config{Ports: p.ports(0, 1, 2)}))
			if got, err := p.ask(p.neighbour, "tcp", addr, patience); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("with no backend: %q, %v, want a refusal", got, err)
			}
			must(t, p.h.Balance(ctx, Config{Ports: p.ports()}))
			p.answered(addr, "web0", "web1", "web2")
			// What leaves without a word leaves no hole.
			must(t, p.h.Detach(ctx, "web0"))
			p.answered(addr, "web1", "web2")
			// Also for a Host that knows nothing but the kernel.
			must(t, p.open("shop").Detach(ctx, "web1"))
			p.answered(addr, "web2")
		})
	}
}

// echo answers each line with the server's name, as long as the client likes.
func (l *lab) echo(ns container, addr string) {
	l.t.Helper()
	l.in(ns.ns, func() {
		srv, err := net.Listen("tcp", addr)
		must(l.t, err)
		l.t.Cleanup(func() { srv.Close() })
		go func() {
			for {
				c, err := srv.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					b := make([]byte, 1)
					for {
						if _, err := c.Read(b); err != nil {
							return
						}
						io.WriteString(c, ns.id+"\n")
					}
				}()
			}
		}()
	})
}

// talk is a connection that says who is at its other end.
type talk struct{ net.Conn }

func (c talk) who() string {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("?")); err != nil {
		return err.Error()
	}
	var b [64]byte
	n, err := c.Read(b[:])
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b[:n]))
}

func TestEstablishedConnectionsStay(t *testing.T) {
	t.Parallel()
	p, ctx := newPool(t, false), t.Context()
	for _, r := range p.replicas {
		p.echo(r, ":81")
	}
	ports := func(resting ...int) (out []Port) {
		for _, port := range p.ports(resting...) {
			if port.Protocol == "tcp" {
				port.Target, port.HostPort = 81, 8081
			}
			out = append(out, port)
		}
		return out
	}
	must(t, p.h.Balance(ctx, Config{Ports: ports()}))
	first := make(map[string]talk)
	p.in(p.neighbour, func() {
		for range askedTimes {
			c, err := net.Dial("tcp", hostAddr+":8081")
			must(t, err)
			t.Cleanup(func() { c.Close() })
			first[talk{c}.who()] = talk{c}
		}
	})
	// Every replica leaves the balance in turn, and the last is left alone.
	for _, resting := range [][]int{{0}, {0, 1}, {1, 2}, {0, 1, 2}, {}} {
		must(t, p.h.Balance(ctx, Config{Ports: ports(resting...)}))
		for id, c := range first {
			if got := c.who(); got != id {
				t.Errorf("with %v resting, the connection to %s is answered by %q", resting, id, got)
			}
		}
	}
	must(t, p.h.Balance(ctx, Config{Ports: ports(0)}))
	must(t, p.h.Detach(ctx, "web0"))
	for _, id := range []string{"web1", "web2"} {
		if got := first[id].who(); got != id {
			t.Errorf("after another replica left, the connection to %s is answered by %q", id, got)
		}
	}
}

// A UDP client stays with a container that rests, and moves on when it leaves.
func TestUDPClientOfAContainerThatRests(t *testing.T) {
	t.Parallel()
	p, ctx := newPool(t, false), t.Context()
	must(t, p.h.Balance(ctx, Config{Ports: p.ports(1, 2)}))
	var c net.Conn
	p.in(p.neighbour, func() {
		var err error
		c, err = net.Dial("udp", hostAddr+":8080")
		must(t, err)
	})
	defer c.Close()
	who := func() string {
		id, _, _ := strings.Cut(talk{c}.who(), " ")
		return id
	}
	if got := who(); got != "web0" {
		t.Fatalf("%s answers", got)
	}
	must(t, p.h.Balance(ctx, Config{Ports: p.ports(0, 2)}))
	if got := who(); got != "web0" {
		t.Errorf("after web0 went to rest, %s answers its client", got)
	}
	must(t, p.h.Detach(ctx, "web0"))
	if got := who(); got != "web1" {
		t.Errorf("after web0 left, %s answers its client", got)
	}
}
