package netns

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// mesh is a service of three containers with an address, and a client of it.
type mesh struct {
	*pool
	client container
	want   Config
}

func newMesh(t *testing.T, change func(*Network)) *mesh {
	m := &mesh{pool: &pool{lab: newLab(t), net: network("shop", "front"), nextPort: 10000}}
	change(&m.net)
	m.h = m.open("shop")
	m.client = m.container("client")
	m.want = Config{Networks: []Network{m.net}, Endpoints: endpoints("client", m.net)}
	for i := range 3 {
		r := m.container(fmt.Sprint("web", i))
		m.replicas = append(m.replicas, r)
		m.want.Endpoints = append(m.want.Endpoints, endpoints(r.id, m.net)...)
	}
	m.want.Services = []Service{{Name: "web", Network: m.net.ID, Names: []string{"web"}}}
	must(t, m.h.Apply(t.Context(), m.want))
	for _, r := range append(slices.Clone(m.replicas), m.client) {
		m.move(m.h, r, m.net)
	}
	for _, r := range m.replicas {
		m.serve(r.ns, ":80", r.id)
	}
	m.ready(0, 1, 2)
	return m
}

// move attaches a container and gives it its table, as a start does.
func (m *mesh) move(h *Host, c container, networks ...Network) []Lease {
	m.t.Helper()
	leases := m.attach(h, c, networks...)
	udp, tcp, err := h.ListenDNS(c.id, c.pid)
	must(m.t, err)
	m.t.Cleanup(func() { udp.Close(); tcp.Close() })
	return leases
}

// ready says which replicas take new connections.
func (m *mesh) ready(replicas ...int) {
	m.t.Helper()
	m.want.Services[0].Backends = nil
	for _, i := range replicas {
		m.want.Services[0].Backends = append(m.want.Services[0].Backends, fmt.Sprint("web", i))
	}
	must(m.t, m.h.Balance(m.t.Context(), m.want))
	must(m.t, m.h.Lead(m.t.Context()))
}

func (m *mesh) service() ServiceLease {
	m.t.Helper()
	all, err := m.h.Services(m.net.ID)
	must(m.t, err)
	if len(all) != 1 {
		m.t.Fatalf("services %v, want one", all)
	}
	return all[0]
}

// who answers a container's new clients of an address, and whom they saw.
func (m *mesh) who(from container, protocol string, to netip.Addr) (who []string, saw map[string]bool) {
	m.t.Helper()
	saw = make(map[string]bool)
	for range askedTimes {
		got, err := m.askFrom(from, protocol, at(to, 80))
		id, client, _ := strings.Cut(got, " ")
		if err != nil {
			id = err.Error()
		}
		if !slices.Contains(who, id) {
			who = append(who, id)
		}
		host, _, _ := net.SplitHostPort(client)
		saw[strings.TrimPrefix(host, "::ffff:")] = true
	}
	slices.Sort(who)
	return who, saw
}

func (m *mesh) askFrom(from container, protocol, addr string) (string, error) {
	if protocol == "tcp" {
		return m.ask(from.ns, protocol, addr, patience)
	}
	neighbour := m.neighbour
	defer func() { m.neighbour = neighbour }()
	m.neighbour = from.ns
	return m.askAnew(protocol, addr)
}

func (m *mesh) leads(from container, to netip.Addr, want ...string) {
	m.t.Helper()
	own := m.leaseOf(from.id, to.Is4())
	for _, protocol := range []string{"tcp", "udp"} {
		who, saw := m.who(from, protocol, to)
		if !slices.Equal(who, want) {
			m.t.Errorf("%s from %s to %v: %v answer, want %v", protocol, from.id, to, who, want)
		}
		if len(saw) != 1 || !saw[own.String()] {
			m.t.Errorf("%s from %s to %v: the replicas saw %v, want %v", protocol, from.id, to, saw, own)
		}
	}
}

func (m *mesh) leaseOf(id string, v4 bool) netip.Addr {
	m.t.Helper()
	leases, err := m.h.leases(func(l Lease) bool { return l.Container == id })
	must(m.t, err)
	if v4 {
		return leases[0].IPv4
	}
	return leases[0].IPv6
}

// pings sends an ICMP echo request and insists on the answer from that address.
func (m *mesh) pings(from container, to netip.Addr) {
	m.t.Helper()
	kind, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		kind, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	m.in(from.ns, func() {
		c, err := net.Dial(kind, to.String())
		must(m.t, err)
		defer c.Close()
		msg := []byte{request, 0, 0, 0, 0x12, 0x34, 0, 1}
		if to.Is4() {
			msg[2], msg[3] = 0xe5, 0xca // the sum is 0x1a35
		}
		c.SetDeadline(time.Now().Add(patience))
		_, err = c.Write(msg)
		must(m.t, err)
		for {
			b := make([]byte, 1500)
			n, err := c.Read(b)
			if err != nil || n < 8 {
				m.t.Errorf("ping %v from %s: %v", to, from.id, err)
				return
			}
			if to.Is4() {
				b = b[20:] // the header stands before
			}
			if b[0] == reply {
				return
			}
		}
	})
}

// refuses insists that nobody answers and that the client knows at once.
func (m *mesh) refuses(from container, to netip.Addr) {
	m.t.Helper()
	for _, protocol := range []string{"tcp", "udp"} {
		begin := time.Now()
		_, err := m.ask(from.ns, protocol, at(to, 80), patience)
		if err == nil || !strings.Contains(err.Error(), "refused") || time.Since(begin) > patience/2 {
			m.t.Errorf("%s to a service without backends: %v after %v, want a refusal", protocol, err, time.Since(begin))
		}
	}
}

func TestServiceAddress(t *testing.T) {
	kinds := map[string]func(*Network){
		"plain":    func(n *Network) { n.IPv6 = true },
		"internal": func(n *Network) { n.IPv6, n.Internal, n.Masquerade = true, true, false },
	}
	for name, change := range kinds {
		for _, bridgeNF := range []string{"0", "1"} {
			t.Run(name+", bridge-nf-call-iptables="+bridgeNF, func(t *testing.T) {
				t.Parallel()
				m := newMesh(t, change)
				m.cmd("sysctl -w net.bridge.bridge-nf-call-iptables=" + bridgeNF + " net.bridge.bridge-nf-call-ip6tables=" + bridgeNF)
				s := m.service()
				for _, to := range []netip.Addr{s.IPv4, s.IPv6} {
					m.ready(0, 1, 2)
					m.leads(m.client, to, "web0", "web1", "web2")
					m.pings(m.client, to)
					m.leads(m.replicas[1], to, "web0", "web1", "web2") // also to itself
					m.ready(0, 2)
					m.leads(m.client, to, "web0", "web2")
					m.ready(1)
					m.leads(m.replicas[1], to, "web1")
					m.pings(m.replicas[1], to)
					m.ready()
					m.refuses(m.client, to)
					m.refuses(m.replicas[0], to)
				}
				if now := m.service(); now.IPv4 != s.IPv4 || now.IPv6 != s.IPv6 {
					t.Errorf("the addresses changed from %v to %v", s, now)
				}
			})
		}
	}
}

func TestEstablishedConnectionsToServicesStay(t *testing.T) {
	t.Parallel()
	m, ctx := newMesh(t, func(*Network) {}), t.Context()
	for _, r := range m.replicas {
		m.echo(r, ":81")
	}
	to := at(m.service().IPv4, 81)
	open := make(map[string]talk)
	m.in(m.client.ns, func() {
		for range askedTimes {
			c, err := net.Dial("tcp", to)
			must(t, err)
			t.Cleanup(func() { c.Close() })
			open[talk{c}.who()] = talk{c}
		}
	})
	check := func(when string, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if got := open[id].who(); got != id {
				t.Errorf("%s, the connection to %s is answered by %q", when, id, got)
			}
		}
	}
	m.ready(0)
	check("with one backend", "web0", "web1", "web2")
	m.ready()
	check("with none", "web0", "web1", "web2")
	must(t, m.h.Detach(ctx, "web0"))
	m.ready(1, 2)
	check("after another left", "web1", "web2")
	// A Host that comes later, and one that mends what was altered.
	m.h = m.open("shop")
	m.adopt()
	m.ready(2)
	check("with a new Host", "web1", "web2")
	m.inside(m.client, "nft delete table inet stack")
	must(t, m.h.Apply(ctx, m.want))
	check("with a new table", "web1", "web2")
}

// adopt tells a new Host of the containers, as a controller that takes over.
func (m *mesh) adopt() {
	m.t.Helper()
	must(m.t, m.h.Apply(m.t.Context(), m.want))
	for _, c := range append(slices.Clone(m.replicas), m.client) {
		udp, tcp, err := m.h.ListenDNS(c.id, c.pid)
		must(m.t, err)
		m.t.Cleanup(func() { udp.Close(); tcp.Close() })
	}
}

func (m *mesh) inside(c container, line string) string {
	m.t.Helper()
	out, err := exec.Command("nsenter", "--net="+m.path(c.ns), "sh", "-c", line).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func TestTablesInsideAreMended(t *testing.T) {
	t.Parallel()
	m, ctx := newMesh(t, func(*Network) {}), t.Context()
	to := m.service().IPv4
	was := m.inside(m.client, "nft list ruleset")
	for _, harm := range []string{
		"nft delete table inet stack",
		"nft flush map inet stack services4",
		"nft flush chain inet stack refuse",
		"nft insert rule inet stack output accept",
	} {
		m.inside(m.client, harm)
		seen, err := m.h.Observe(ctx, map[string]int{"client": m.client.pid, "web0": m.replicas[0].pid})
		must(t, err)
		if !strings.Contains(fmt.Sprint(seen.Broken), "table inside container client") {
			t.Errorf("after %q Observe says %q", harm, seen.Broken)
		}
		must(t, m.h.Apply(ctx, m.want))
		if now := m.inside(m.client, "nft list ruleset"); now != was {
			t.Errorf("after %q and Apply:\n%s\nwant\n%s", harm, now, was)
		}
	}
	// A change of backends finds the table altered and mends it too.
	m.inside(m.client, "nft delete table inet stack")
	m.ready(1)
	m.leads(m.client, to, "web1")
}

func TestUDPClientOfAServiceMovesOn(t *testing.T) {
	t.Parallel()
	m := newMesh(t, func(n *Network) { n.IPv6 = true })
	for _, to := range []netip.Addr{m.service().IPv4, m.service().IPv6} {
		m.ready(0)
		var c net.Conn
		m.in(m.client.ns, func() {
			var err error
			c, err = net.Dial("udp", at(to, 80))
			must(t, err)
		})
		defer c.Close()
		for _, i := range []int{0, 2, 1} {
			m.ready(i)
			if got := (talk{c}).who(); !strings.HasPrefix(got, fmt.Sprint("web", i)) {
				t.Errorf("with web%d the only backend, %q answers", i, got)
			}
		}
	}
}

// Another stack's container on the network reaches the service, and its controller
// hears of changes.
func TestServiceOfAnotherStack(t *testing.T) {
	t.Parallel()
	m, ctx := newMesh(t, func(*Network) {}), t.Context()
	shared := m.net
	shared.External = true
	other := m.open("other")
	heard := make(chan struct{}, 100)
	other.Watch(func() { heard <- struct{}{} })
	guest := m.container("guest")
	theirs := Config{Networks: []Network{shared}, Endpoints: endpoints("guest", shared), Services: []Service{
		{Name: "web", Network: shared.ID, Names: []string{"web"}, Backends: []string{"guest"}},
	}}
	must(t, other.Apply(ctx, theirs))
	m.move(other, guest, shared)
	m.serve(guest.ns, ":80", "guest")
	must(t, other.Balance(ctx, theirs))
	all, err := m.h.Services(m.net.ID)
	must(t, err)
	if len(all) != 2 || all[0].Project != "other" || all[1].Project != "shop" || all[0].IPv4 == all[1].IPv4 {
		t.Fatalf("services of the shared network: %v", all)
	}
	m.leads(guest, all[1].IPv4, "web0", "web1", "web2")
	for len(heard) > 0 {
		<-heard
	}
	m.ready(1)
	select {
	case <-heard:
	case <-time.After(patience):
		t.Fatal("the other stack heard nothing")
	}
	must(t, other.Lead(ctx))
	m.leads(guest, all[1].IPv4, "web1")
	must(t, m.h.Lead(ctx)) // as our own Watch would cause
	m.leads(m.client, all[0].IPv4, "guest")
	// What leaves takes its services with it.
	must(t, other.Remove(ctx))
	if s := m.service(); s.Project != "shop" {
		t.Errorf("left over: %v", s)
	}
	must(t, m.h.Lead(ctx))
	m.refuses(m.client, all[0].IPv4)
}

// What inside's rules say is what nft makes of their text.
func TestCompiledInsideIsTheText(t *testing.T) {
	ours, theirs := newLab(t), newLab(t)
	want := exampleInside().rules()
	ours.in(ours.host, func() {
		in := exampleInside()
		r := &resident{udp: in.UDP, tcp: in.TCP}
		must(t, r.begin(&snapshot{paths: in.paths, sets: in.sets()}))
		must(t, r.mend(r.has))
	})
	file := t.TempDir() + "/rules.nft"
	must(t, writeFile(file, []byte(want.String())))
	theirs.cmd("nft -f " + file)
	for _, c := range want.Chains {
		list := "nft --debug=netlink list chain inet stack " + c.Name + " | grep -e '^ *\\[' -e type"
		same(t, theirs.cmd(list), ours.cmd(list))
	}
	for _, s := range want.Sets {
		list := "nft --debug=netlink list map inet stack " + s.Name + " | grep -o 'element [^:]* : [0-9a-f ]*' | sort"
		same(t, theirs.cmd(list), ours.cmd(list))
	}
	// It is recognised: nothing is written again.
	theirs.in(theirs.host, func() {
		tab, err := openTable(0, insideTable)
		must(t, err)
		defer tab.Close()
		if intact, err := tab.read(want); err != nil || !intact {
			t.Errorf("the same table is not recognised: %v, %v", intact, err)
		}
	})
}

func TestOneRoundOfTen(t *testing.T) {
	m := newMesh(t, func(*Network) {})
	c := m.want
	for i := range 10 {
		r := m.container(fmt.Sprint("more", i))
		c.Endpoints = append(c.Endpoints, endpoints(r.id, m.net)...)
		m.move(m.h, r, m.net)
	}
	must(t, m.h.Apply(t.Context(), c))
	m.want = c
	m.ready(0)
	var all []time.Duration
	for i := range 20 {
		begin := time.Now()
		m.ready(i % 3)
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	t.Logf("a change of backends in 14 namespaces: best %v, median %v, worst %v", all[0], all[10], all[19])
	if all[0] > 100*time.Millisecond { // what it takes when nobody else runs
		t.Errorf("a change of backends takes %v", all[0])
	}
}

// A network that gets IPv6 while a container runs: the rules inside change too.
func TestServicePoolsChangeUnderAContainer(t *testing.T) {
	t.Parallel()
	m, ctx := newMesh(t, func(*Network) {}), t.Context()
	second := network("shop", "second")
	second.IPv6 = true
	m.want.Networks = append(m.want.Networks, second)
	m.want.Services = append(m.want.Services, Service{Name: "other", Network: second.ID, Names: []string{"other"}, Backends: []string{"web0"}})
	for _, c := range []container{m.client, m.replicas[0]} {
		m.want.Endpoints = append(m.want.Endpoints, endpoints(c.id, m.net, second)[1])
	}
	must(t, m.h.Apply(ctx, m.want)) // plugs them in as well
	must(t, m.h.Balance(ctx, m.want))
	must(t, m.h.Lead(ctx))
	all, err := m.h.Services(second.ID)
	must(t, err)
	for _, to := range []netip.Addr{all[0].IPv4, all[0].IPv6} {
		for _, protocol := range []string{"tcp", "udp"} {
			if got, err := m.askFrom(m.client, protocol, at(to, 80)); err != nil || !strings.HasPrefix(got, "web0 ") {
				t.Errorf("%s %v: %q, %v", protocol, to, got, err)
			}
		}
	}
}
