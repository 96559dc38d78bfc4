package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
)

// shop is a project with one container, for tests that break things.
type shop struct {
	*lab
	h     *Host
	net   Network
	c     container
	want  Config
	lease Lease
}

func newShop(t *testing.T) *shop {
	s := &shop{lab: newLab(t), net: network("shop", "front")}
	s.h, s.c = s.open("shop"), s.container("web")
	s.want = Config{Networks: []Network{s.net}, Endpoints: endpoints("web", s.net)}
	for _, p := range []string{"tcp", "udp"} {
		s.want.Ports = append(s.want.Ports, Port{Container: "web", Protocol: p, HostPort: 8080, Target: 80})
	}
	must(t, s.h.Apply(t.Context(), s.want))
	s.lease = s.attach(s.h, s.c, s.net)[0]
	s.serve(s.c.ns, ":80", "web")
	return s
}

// noticed insists that Observe sees it, that Apply repairs it, and that nothing
// is left to see.
func (s *shop) noticed(what string) {
	s.t.Helper()
	t, ctx, live := s.t, s.t.Context(), map[string]int{"web": s.c.pid}
	seen, err := s.h.Observe(ctx, live)
	must(t, err)
	if !strings.Contains(fmt.Sprint(seen.Broken), what) {
		t.Errorf("Observe says %q, want %q", seen.Broken, what)
	}
	must(t, s.h.Apply(ctx, s.want))
	if seen, err = s.h.Observe(ctx, live); err != nil || len(seen.Broken) > 0 {
		t.Errorf("after repair Observe says %q, %v", seen.Broken, err)
	}
}

// broken is noticed, and the container is reached again.
func (s *shop) broken(what string) {
	s.t.Helper()
	s.noticed(what)
	s.reaches("published port", s.host, "127.0.0.1:8080", "web")
	s.reaches("published port", s.neighbour, hostAddr+":8080", "web")
}

func TestRepair(t *testing.T) {
	s := newShop(t)
	bridge := BridgeName(s.net.ID)
	s.cmd("ip link del " + bridge)
	s.broken("is missing")
	s.cmd("ip link set " + s.lease.Link + " nomaster")
	s.broken("not on the bridge")
	s.cmd("ip link del " + s.lease.Link)
	s.broken("link " + s.lease.Link)
	s.cmd("nft delete table inet stack-shop")
	s.broken("firewall table")
	s.cmd("nft flush map inet stack-shop publish4any")
	s.broken("firewall table")
	s.cmd("nft add rule inet stack-shop forward drop")
	s.broken("firewall table")
	s.cmd("nft delete map inet stack-shop publish6 2>/dev/null; nft flush chain inet stack-shop prerouting")
	s.broken("firewall table")
	// A controller that was killed: the next one knows nothing but the files.
	s.h = s.open("shop")
	s.cmd("ip link del " + bridge + "; ip link del " + s.lease.Link + "; nft delete table inet stack-shop")
	s.broken("is missing")
	// The kernel forgets connections masqueraded by a link or address that went
	// down, a little later, so traffic is not looked at after these.
	s.cmd("ip link set " + bridge + " down")
	s.noticed("is down or was altered")
	s.cmd("ip addr flush dev " + bridge)
	s.noticed("lacks its address")
	if now, _ := s.h.Lease("web"); len(now) != 1 || now[0].IPv4 != s.lease.IPv4 || now[0].MAC != s.lease.MAC {
		t.Errorf("the container's address changed: %v, was %v", now, s.lease)
	}
}

func TestApplyTwiceIsOnce(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	was, generation := s.picture(), must1(s.h.generation())(t)
	files := must1(s.try("cd " + s.state + " && stat -c '%n %i %Y' */*.json *.json"))(t)
	must(t, s.h.Apply(ctx, s.want))
	must(t, s.open("shop").Apply(ctx, s.want)) // and by another process
	same(t, was, s.picture())
	same(t, files, must1(s.try("cd "+s.state+" && stat -c '%n %i %Y' */*.json *.json"))(t))
	if now := must1(s.h.generation())(t); now != generation {
		t.Errorf("the firewall was written %d times", now-generation)
	}
}

func must1[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		must(t, err)
		return v
	}
}

func TestCrashes(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	// A link without a lease: the record was lost.
	must(t, s.h.store.entry(s.net.ID).update(func(st *state) error {
		st.drop(func(Lease) bool { return true })
		return nil
	}))
	must(t, s.h.Apply(ctx, s.want)) // the container lives: it is attached again
	s.reaches("attached again", s.host, "127.0.0.1:8080", "web")
	// A lease without a link: killed between the two.
	half := s.container("half")
	c := &leaseCall{endpoint: endpoints("half", s.net)[0], project: "shop"}
	s.h.store.entry(s.net.ID).lease(c)
	must(t, c.err)
	if got := s.attach(s.h, half, s.net)[0]; got.IPv4 != c.lease.IPv4 {
		t.Errorf("the lease before the crash was %v, after it %v", c.lease.IPv4, got.IPv4)
	}
	if got := s.attach(s.h, half, s.net)[0]; got.IPv4 != c.lease.IPv4 { // repeated
		t.Errorf("the second Attach gave %v", got.IPv4)
	}
	// All records lost: Detach and Remove go by the links' aliases.
	must(t, os.RemoveAll(s.state))
	h := s.open("shop")
	must(t, h.Detach(ctx, "half", "never existed"))
	if got := s.cmd("ip -o link show type veth"); strings.Contains(got, "alias stack shop half") {
		t.Errorf("a link is left:\n%s", got)
	}
	must(t, h.Remove(ctx))
	must(t, h.Remove(ctx))
	if got := s.cmd("ip -o link; nft list ruleset"); strings.Contains(got, "stack") {
		t.Errorf("something is left:\n%s", got)
	}
}

func TestChanges(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	subnet := netip.MustParsePrefix("10.77.0.0/24")
	s.want.Networks[0].Pools = []Pool{{Subnet: subnet, Gateway: netip.MustParseAddr("10.77.0.254"), Range: netip.MustParsePrefix("10.77.0.128/26")}}
	must(t, s.h.Apply(ctx, s.want))
	now := must1(s.h.Lease("web"))(t)
	if len(now) != 1 || now[0].IPv4 != netip.MustParseAddr("10.77.0.128") {
		t.Fatalf("after a change of subnet the lease is %v", now)
	}
	s.reaches("container in its new subnet", s.neighbour, hostAddr+":8080", "web")
	s.serve(s.neighbour, ":7", "outside")
	s.reaches("from the new subnet", s.c.ns, neighbourAddr+":7", "outside")

	// A second network for a running container, then the first one taken away.
	back := network("shop", "back")
	s.want.Networks = append(s.want.Networks, back)
	s.want.Endpoints = append(s.want.Endpoints, Endpoint{Container: "web", Network: back.ID, IfName: "eth1"})
	must(t, s.h.Apply(ctx, s.want))
	if now = must1(s.h.Lease("web"))(t); len(now) != 2 {
		t.Fatalf("leases on two networks: %v", now)
	}
	s.reaches("on its second network", s.host, at(now[1].IPv4, 80), "web")
	s.want.Networks, s.want.Endpoints = s.want.Networks[1:], s.want.Endpoints[1:]
	must(t, s.h.Apply(ctx, s.want))
	if got := s.cmd("ip -o link"); strings.Contains(got, BridgeName(s.net.ID)) || strings.Contains(got, linkName("web", "eth0")) {
		t.Errorf("the first network is left:\n%s", got)
	}
	s.reaches("on what is left", s.host, at(now[1].IPv4, 80), "web")

	// Bad wishes change nothing.
	was := s.picture()
	for want, n := range map[string]Network{
		"overlaps the host's own 198.51.100.0/24": {ID: "aa", Name: "x", Pools: []Pool{{Subnet: netip.MustParsePrefix("198.51.0.0/16")}}},
		"of network shop_back":                    {ID: "aa", Name: "x", Pools: []Pool{{Subnet: must1(s.h.Lookup(back.ID))(t).Pools[0].Subnet}}},
		"range":                                   {ID: "aa", Name: "x", Pools: []Pool{{Subnet: subnet, Range: netip.MustParsePrefix("10.78.0.0/24")}}},
		"at most 1023 ports":                      {ID: "aa", Name: "x", Size: 1024},
		"belongs to project shop":                 {ID: "aa", Name: "shop_back"},
	} {
		bad := s.want
		bad.Networks = append([]Network{n}, bad.Networks...)
		if err := s.h.Apply(ctx, bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	same(t, was, s.picture())
}

func TestAttachRefuses(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	was := s.picture()
	other := s.container("other")
	for want, e := range map[string]Endpoint{
		"is taken by container web": {IPv4: s.lease.IPv4},
		"it is the gateway":         {IPv4: netip.MustParseAddr(gatewayOf(t, s.h, s.net))},
		"in no subnet":              {IPv4: netip.MustParseAddr("10.1.1.1")},
		"no such network":           {Network: "ffffffffffff"},
		"bad MAC":                   {MAC: "01:00:00:00:00:01"},
		"not one of the interface":  {Sysctls: map[string]string{"net.ipv4.ip_forward": "1"}},
		"bad interface name":        {IfName: "a/b"},
		"cannot write":              {Sysctls: map[string]string{"net.ipv4.conf.IFNAME.no_such_setting": "1"}},
	} {
		e.Container = "other"
		if e.Network == "" {
			e.Network = s.net.ID
		}
		if e.IfName == "" {
			e.IfName = "eth0"
		}
		_, err := s.h.Attach(ctx, []Endpoint{e}, other.pid)
		if err == nil || !strings.Contains(strings.Replace(err.Error(), "cannot set sysctl", "cannot write", 1), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
	if _, err := s.h.Attach(ctx, endpoints("other", s.net), os.Getpid()); err == nil || !strings.Contains(err.Error(), "host's network namespace") {
		t.Errorf("attaching a process in the host's namespace: %v", err)
	}
	same(t, was, s.picture())
	if now, _ := s.h.Lease("other"); len(now) > 0 {
		t.Errorf("leases are left: %v", now)
	}
}

func TestEndpointOptions(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	c := s.container("special")
	leases, err := s.h.Attach(ctx, []Endpoint{{
		Container: "special", Network: s.net.ID, IfName: "lan0", Default: true,
		IPv4: netip.MustParseAddr("172.16.0.77"), MAC: "02:00:00:00:00:77", MTU: 1400,
		LinkLocal: []netip.Addr{netip.MustParseAddr("169.254.7.7")},
		Sysctls:   map[string]string{"net.ipv4.conf.IFNAME.log_martians": "1"},
		Names:     []string{"special"}, Hostname: "special.shop",
	}}, c.pid)
	must(t, err)
	got, err := s.try(fmt.Sprintf("nsenter --net=%s sh -c 'ip -o link show lan0; ip -o addr show dev lan0; ip route; ip neigh; cat /proc/sys/net/ipv4/conf/lan0/log_martians'", s.path(c.ns)))
	must(t, err)
	for _, want := range []string{"mtu 1400", "link/ether 02:00:00:00:00:77", "inet 172.16.0.77/24", "inet 169.254.7.7/16", "default via 172.16.0.1", "172.16.0.1 dev lan0 lladdr " + bridgeMAC(s.net.ID).String() + " PERMANENT", "\n1\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if l := leases[0]; l.Hostname != "special.shop" || l.Names[0] != "special" || l.Project != "shop" {
		t.Errorf("lease: %+v", l)
	}
	if host := s.cmd("ip neigh show nud permanent"); !strings.Contains(host, "172.16.0.77 dev "+BridgeName(s.net.ID)+" lladdr 02:00:00:00:00:77") {
		t.Errorf("no permanent neighbour on the host:\n%s", host)
	}
	must(t, s.h.Detach(ctx, "special"))
	must(t, s.h.Detach(ctx, "special"))
	if host := s.cmd("ip neigh show nud permanent; ip -o link"); strings.Contains(host, "172.16.0.77") || strings.Contains(host, leases[0].Link) {
		t.Errorf("Detach left:\n%s", host)
	}
}

// An address that is leased anew must not get its last holder's traffic.
func TestDetachTakesPortsAway(t *testing.T) {
	s, ctx := newShop(t), context.Background()
	s.reaches("published", s.neighbour, hostAddr+":8080", "web")
	must(t, s.open("shop").Detach(ctx, "web")) // by a process that applied nothing
	next := s.container("next")
	e := endpoints("next", s.net)[0]
	e.IPv4 = s.lease.IPv4
	_, err := s.h.Attach(ctx, []Endpoint{e}, next.pid)
	must(t, err)
	s.serve(next.ns, ":80", "next")
	s.misses("port of a container that is gone", s.neighbour, hostAddr+":8080")
	if _, _, err := s.h.store.entry("ffffffffffff").view(); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown network: %v", err)
	}
}

// The kernel interrupts a dump when links change under it.
func TestApplyAmidAttaches(t *testing.T) {
	s, ctx := newShop(t), t.Context()
	for i := range 40 { // so that a dump takes several reads
		s.attach(s.h, s.container(fmt.Sprint("still", i)), s.net)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		c := s.container(fmt.Sprint("churn", i))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.h.Attach(ctx, endpoints(c.id, s.net), c.pid); err != nil {
					t.Error(err)
				}
				if err := s.h.Detach(ctx, c.id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 30 {
		if err := s.h.Apply(ctx, s.want); err != nil {
			t.Error(err)
		}
		if _, err := s.h.Observe(ctx, map[string]int{"web": s.c.pid}); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	s.reaches("published port", s.host, "127.0.0.1:8080", "web")
}
