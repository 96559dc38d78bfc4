package netns

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	if got := NetworkID("shop", "front"); got != "f5dc12886178" {
		t.Errorf("NetworkID changed to %s: networks of running stacks would be lost", got)
	}
	if NetworkID("a", "bc") == NetworkID("ab", "c") {
		t.Error("two networks have one ID")
	}
	if got := BridgeName("f5dc12886178"); got != "st-f5dc12886178" || len(got) != linkNameLen {
		t.Errorf("BridgeName: %s", got)
	}
	if got := linkName("web", "eth0"); got != "st011c3eba5b3f3" || len(got) != linkNameLen {
		t.Errorf("linkName changed to %s: links of running stacks would be lost", got)
	}
	if got := endpointMAC(netip.MustParseAddr("172.16.0.2"), netip.Addr{}).String(); got != "02:42:ac:10:00:02" {
		t.Errorf("endpointMAC: %s", got)
	}
	if got := endpointMAC(netip.Addr{}, netip.MustParseAddr("fd00::2")); got[0] != 0x02 || len(got) != 6 {
		t.Errorf("endpointMAC for IPv6: %s", got)
	}
	long, container := strings.Repeat("x", 300), strings.Repeat("f", 64)
	for _, project := range []string{"shop", long, "Odd Name", "a.b", ""} {
		alias := linkAlias(project, container, "eth0")
		if len(alias) > 255 || !strings.HasPrefix(alias, aliasPrefix(project)) {
			t.Errorf("alias of %q: %q", project, alias)
		}
		if name := tableName(project); len(name) > 200 || strings.ContainsAny(name, " ") {
			t.Errorf("table of %q: %q", project, name)
		}
	}
	if strings.HasPrefix(linkAlias("shop-2", "c", "eth0"), aliasPrefix("shop")) || aliasPrefix("a b") == aliasPrefix("a_b") {
		t.Error("one project's links pass for another's")
	}
}

func TestSysctlsOfAnEndpoint(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.conf.IFNAME.rp_filter":       "net/ipv4/conf/eth0/rp_filter",
		"net.ipv6.conf.eth0.accept_ra":         "net/ipv6/conf/eth0/accept_ra",
		"net.ipv4.conf.all.rp_filter":          "",
		"net.ipv4.conf.eth1.rp_filter":         "",
		"net.ipv4.ip_forward":                  "",
		"net.ipv4.conf.IFNAME.../../x":         "",
		"net.ipv4.conf.IFNAME.a/b":             "",
		"kernel.conf.IFNAME.x.y":               "",
		"net.ipv4.neigh.IFNAME.gc_stale_time":  "net/ipv4/neigh/eth0/gc_stale_time",
		"net.ipv4.conf.IFNAME.rp_filter.extra": "",
	} {
		got, err := endpointSysctl(key, "eth0")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("endpointSysctl(%q) = %q, %v; want %q", key, got, err, want)
		}
	}
}

func TestCheckFindsEverything(t *testing.T) {
	c := Config{
		Networks: []Network{{ID: "aa", Name: "a", Size: 2000}, {ID: "A", Name: "b"}, {ID: "cc", Name: "c", Bridge: "far too long a name"}},
		Endpoints: []Endpoint{
			{Container: "x", Network: "zz", IfName: "eth0"},
			{Container: "x", Network: "aa", IfName: "lo"},
			{Container: "x", Network: "aa", IfName: "eth1", IPv4: netip.MustParseAddr("10.0.0.5")},
			{Container: "y", Network: "aa", IfName: "eth1", IPv4: netip.MustParseAddr("10.0.0.5")},
			{Container: "y", Network: "aa", IfName: "eth1"},
		},
		Ports: []Port{
			{Container: "x", Protocol: "tcp", HostPort: 80, Target: 80},
			{Container: "y", Protocol: "tcp", HostPort: 80, Target: 81},
			{Container: "y", Protocol: "sctp", HostPort: 81, Target: 81},
		},
	}
	err := c.check()
	if err == nil {
		t.Fatal("nothing was found")
	}
	for _, want := range []string{
		"at most 1023 ports", `bad network ID "A"`, "bad bridge name", "not configured", `bad interface name "lo"`,
		"ask for the same address 10.0.0.5", "two interfaces eth1", "80/tcp is published twice", "neither tcp nor udp",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}
