package netns

import (
	"context"
	"strings"
	"testing"
)

// firewalls of others that drop what they don't know; each must keep its rules
// as they were, and ours must go with Remove.
func foreignFirewalls() map[string]string {
	return map[string]string{
		"nft policy": `
nft add table inet guard
nft add chain inet guard in '{ type filter hook input priority 0; policy drop; }'
nft add chain inet guard thru '{ type filter hook forward priority 0; policy drop; }'
nft add rule inet guard in iifname lo accept`,
		"nft last rule": `
nft add table inet guard
nft add chain inet guard thru '{ type filter hook forward priority 10; policy accept; }'
nft add rule inet guard thru tcp dport 4242 drop
nft add rule inet guard thru counter reject with icmpx type admin-prohibited`,
		"iptables": `
iptables -P INPUT DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -P FORWARD DROP`,
		"docker": `
iptables -N DOCKER-USER
iptables -N DOCKER-FORWARD
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -j DOCKER-FORWARD
iptables -A DOCKER-FORWARD -i docker0 -j ACCEPT
iptables -A DOCKER-USER -p tcp --dport 4242 -j DROP
iptables -A DOCKER-USER -j RETURN
iptables -P FORWARD DROP`,
	}
}

func TestForeignFirewallsThatDrop(t *testing.T) {
	for name, setup := range foreignFirewalls() {
		t.Run(name, func(t *testing.T) { testForeignFirewall(t, setup) })
	}
}

func testForeignFirewall(t *testing.T, setup string) {
	t.Parallel()
	l, ctx := newLab(t), context.Background()
	l.cmd("sysctl -w net.bridge.bridge-nf-call-iptables=1")
	l.cmd("set -e; " + setup)
	was, listed := l.picture(), l.cmd("iptables -S")
	h := l.open("shop")
	front := network("shop", "front")
	web, peer := l.container("web"), l.container("peer")
	c := Config{Networks: []Network{front}, Endpoints: append(endpoints("web", front), endpoints("peer", front)...)}
	for _, p := range []string{"tcp", "udp"} {
		c.Ports = append(c.Ports, Port{Container: "web", Protocol: p, HostPort: 8080, Target: 80})
	}
	must(t, h.Apply(ctx, c))
	lease := l.attach(h, web, front)[0]
	l.attach(h, peer, front)
	l.serve(web.ns, ":80", "web")
	l.serve(web.ns, ":4242", "refused by the administrator")
	l.serve(l.neighbour, ":7", "outside")
	check := func() {
		t.Helper()
		if !strings.Contains(setup, "-P INPUT") && !strings.Contains(setup, "hook input") {
			l.reaches("own address", l.host, hostAddr+":8080", "web")
		}
		l.reaches("loopback", l.host, "127.0.0.1:8080", "web")
		l.reaches("neighbour", l.neighbour, hostAddr+":8080", "web")
		l.reaches("hairpin", peer.ns, hostAddr+":8080", "web")
		l.reaches("same network", peer.ns, at(lease.IPv4, 80), "web")
		l.reaches("outward", peer.ns, neighbourAddr+":7", "outside")
	}
	check()
	if strings.Contains(setup, "4242") {
		if got, err := l.ask(peer.ns, "tcp", at(lease.IPv4, 4242), impatience); err == nil {
			t.Errorf("the administrator's own drop was overridden: %q", got)
		}
	}
	if strings.Contains(setup, "iptables") {
		if got := l.cmd("iptables -S"); !strings.Contains(got, `--comment "stack shop"`) {
			t.Errorf("iptables does not show our accepts:\n%s", got)
		}
		l.cmd("iptables-save | iptables-restore")
	}
	// Applied twice, nothing is written.
	before, err := h.generation()
	must(t, err)
	must(t, h.Apply(ctx, c))
	must(t, l.open("shop").Apply(ctx, c))
	if after, _ := h.generation(); after != before {
		t.Errorf("Apply with nothing to do wrote %d transactions", after-before)
	}
	// Lost, they are healed.
	if strings.Contains(setup, "iptables") {
		l.cmd("iptables -F FORWARD; iptables -F DOCKER-USER; iptables -F INPUT; iptables -A INPUT -i lo -j ACCEPT; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; true")
		must(t, h.Apply(ctx, c))
		check()
		must(t, h.Remove(ctx))
		if got := l.cmd("nft list ruleset"); strings.Contains(got, "stack") || strings.Contains(got, "st-") {
			t.Errorf("rules are left:\n%s", got)
		}
		return
	}
	must(t, h.Remove(ctx))
	same(t, was, l.picture())
	same(t, listed, l.cmd("iptables -S"))
}
