package netns

import (
	"fmt"
	"testing"
	"time"
)

// listener counts what a Host is told.
type listener struct {
	t    testing.TB
	told chan struct{}
}

func (s *shop) listen() *listener {
	l := &listener{t: s.t, told: make(chan struct{}, 1000)}
	must(s.t, s.h.Subscribe(func() { l.told <- struct{}{} }))
	s.t.Cleanup(func() { s.h.Close() })
	return l
}

// hears insists on being told.
func (l *listener) hears(what string) {
	l.t.Helper()
	select {
	case <-l.told:
	case <-time.After(patience):
		l.t.Errorf("%s: nobody told", what)
	}
}

// quiet waits until nothing more comes and returns how often something was told.
func (l *listener) quiet() (n int) {
	for {
		select {
		case <-l.told:
			n++
		case <-time.After(100 * time.Millisecond):
			return n
		}
	}
}

// TestEachLossIsTold breaks one thing after the other: the Host is told, sees it and
// repairs it.
func TestEachLossIsTold(t *testing.T) {
	s := newShop(t)
	bridge := BridgeName(s.net.ID)
	udp, tcp, err := s.h.ListenDNS("web", s.c.pid)
	must(t, err)
	defer udp.Close()
	defer tcp.Close()
	l := s.listen()
	inside := func(command string) string {
		return fmt.Sprintf("nsenter --net=/proc/%d/ns/net %s", s.c.pid, command)
	}
	for _, c := range []struct{ harm, fault string }{
		{"ip link del " + s.lease.Link, "is missing"},
		{"ip link set " + s.lease.Link + " nomaster", "is not on the bridge"},
		{"ip link set " + s.lease.Link + " down", "is down or was altered"},
		{"ip link set " + bridge + " down", "is down or was altered"},
		{"ip link set " + bridge + " mtu 1300", "is down or was altered"},
		{"ip addr flush dev " + bridge, "lacks its address"},
		{"ip neigh del " + s.lease.IPv4.String() + " dev " + bridge, "is not known as"},
		{"nft delete table inet stack-shop", "firewall table"},
		{"nft flush map inet stack-shop publish4any", "firewall table"},
		{"nft flush chain inet stack-shop forward", "firewall table"},
		{inside("nft delete table inet stack"), "table inside container web"},
		{inside("nft flush ruleset"), "table inside container web"},
		{"ip link set " + s.lease.Link + " down; ip link set " + s.lease.Link + " name other; ip link set other up", "is missing"},
		{"ip link set " + bridge + " down; ip link set " + bridge + " name other; ip link set other up", "is missing"},
		{"ip route del $(ip -4 route show dev " + bridge + " proto kernel | cut -d' ' -f1) dev " + bridge, "lacks the route"},
		{"sysctl -qw net.ipv4.ip_forward=0", "ip_forward is off"},
		{"ip link del " + bridge, "is missing"},
	} {
		l.quiet()
		s.cmd(c.harm)
		l.hears(c.harm)
		s.noticed(c.fault)
	}
	s.reaches("published port", s.host, "127.0.0.1:8080", "web")
}

// TestAcceptsOfOthersAreTold: somebody's firewall drops, our accepts stand in it, and
// he reloads it.
func TestAcceptsOfOthersAreTold(t *testing.T) {
	s := newShop(t)
	l := s.listen()
	reload := "nft add table ip wall; nft delete table ip wall; nft add table ip wall; " +
		"nft 'add chain ip wall fw { type filter hook forward priority 10; policy drop; }'"
	for range 2 {
		l.quiet()
		s.cmd(reload)
		l.hears("reload")
		s.noticed("accepts of the project's traffic")
		s.reaches("published port", s.neighbour, hostAddr+":8080", "web")
	}
}

// TestOwnChangesAreNotTold: what this Host does is no reason to look again, or a
// repair would be followed by looks for ever; nor is what others do that is not ours.
func TestOwnChangesAreNotTold(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	l := s.listen()
	second := s.container("second")
	for range 3 {
		must(t, s.h.Apply(ctx, s.want))
		both := s.want
		both.Endpoints = append(both.Endpoints, endpoints("second", s.net)...)
		both.Ports = append(both.Ports, Port{Container: "second", Protocol: "tcp", HostPort: 8081, Target: 80})
		must(t, s.h.Balance(ctx, both))
		s.attach(s.h, second, s.net)
		udp, tcp, err := s.h.ListenDNS("second", second.pid)
		must(t, err)
		udp.Close()
		tcp.Close()
		must(t, s.h.Lead(ctx))
		must(t, s.h.Detach(ctx, "second"))
		must(t, s.h.Balance(ctx, s.want))
	}
	if n := l.quiet(); n > 0 {
		t.Errorf("told %d times of its own changes", n)
	}
	s.cmd("ip link add other0 type veth peer name other1; ip link set other0 up; ip addr add 10.99.0.1/24 dev other0; ip link del other0")
	s.cmd("nft add table inet other; nft add set inet other s '{ type ipv4_addr; }'; nft add element inet other s '{ 1.2.3.4 }'")
	l.quiet() // a table of others may come to hold a dropping chain
	s.cmd("nft add element inet other s '{ 1.2.3.5 }'; ip link add other2 type veth peer name other3; ip link del other2")
	if n := l.quiet(); n > 0 {
		t.Errorf("told %d times of what concerns others", n)
	}
}

// TestContainersCannotBlind: a container that changes its network without pause makes
// messages get lost; what was lost among them, and the next loss on the host, is seen
// all the same.
func TestContainersCannotBlind(t *testing.T) {
	s := newShop(t)
	udp, tcp, err := s.h.ListenDNS("web", s.c.pid)
	must(t, err)
	defer udp.Close()
	defer tcp.Close()
	l := s.listen()
	_, err = s.h.Observe(t.Context(), map[string]int{"web": s.c.pid}) // no doubt is left
	must(t, err)
	// One transaction, read from a pipe: its length has no bound.
	s.cmd(fmt.Sprintf(`{ for n in $(seq 4000); do
		echo "add table inet stack$n; add chain inet stack$n c; delete table inet stack$n"
	done; echo "delete table inet stack"; } | nsenter --net=/proc/%d/ns/net nft -f -`, s.c.pid))
	l.quiet()
	s.noticed("table inside container web")
	l.quiet()
	s.cmd("nft delete table inet stack-shop")
	l.hears("loss after a flood")
	s.noticed("firewall table")
}

// TestLossBeforeTheFirstApply: a Host that has not applied anything, as a new
// controller's, knows the project's bridges by their aliases.
func TestLossBeforeTheFirstApply(t *testing.T) {
	s := newShop(t)
	s.h = s.open("shop")
	l := s.listen()
	l.quiet()
	s.cmd("ip link del " + BridgeName(s.net.ID))
	l.hears("the bridge's loss")
}
