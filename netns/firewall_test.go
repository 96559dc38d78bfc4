package netns

import (
	"net/netip"
	"os"
	"testing"
)

// golden rewrites testdata instead of comparing.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (UPDATE_GOLDEN=1 rewrites it): got\n%s", path, got)
	}
}

func exampleRuleset() ruleset {
	networks := []Network{
		{ID: "aa", Bridge: "st-front", Masquerade: true, IPv6: true},
		{ID: "bb", Bridge: "st-back", Internal: true},
		{ID: "cc", Bridge: "st-alone", Isolated: true, Masquerade: true},
		{ID: "dd", Bridge: "st-routed"},
	}
	targets := map[string]target{
		"web":  {IPv4: netip.MustParseAddr("172.16.0.2"), IPv6: netip.MustParseAddr("fd00::2")},
		"api":  {IPv4: netip.MustParseAddr("172.16.0.3")},
		"rest": {IPv4: netip.MustParseAddr("172.16.0.4")},
	}
	ports := []Port{
		{Container: "web", Protocol: "tcp", HostPort: 80, Target: 8080},
		{Container: "web", Protocol: "tcp", HostPort: 443, Target: 8443, HostIP: netip.MustParseAddr("2001:db8::1")},
		{Container: "api", Protocol: "udp", HostPort: 5000, Target: 5000, HostIP: netip.MustParseAddr("127.0.0.1")},
		{Container: "api", Protocol: "tcp", HostPort: 5001, Target: 5000},
		{Container: "web", Protocol: "udp", HostPort: 53, Target: 53, HostIP: netip.MustParseAddr("0.0.0.0")},
		{Container: "web", Protocol: "udp", HostPort: 54, Target: 54, HostIP: netip.MustParseAddr("::")},
		{Container: "starting", Protocol: "tcp", HostPort: 9000, Target: 9000},
		{Container: "web", Service: "both", Protocol: "tcp", HostPort: 7000, Target: 70},
		{Container: "api", Service: "both", Protocol: "tcp", HostPort: 7000, Target: 70},
		{Container: "rest", Service: "both", Protocol: "tcp", HostPort: 7000, Target: 70, Resting: true},
	}
	return firewall("shop", networks, ports, targets, foreign{IPv4: []string{"eth0", "eth1"}, IPv6: []string{"eth0"}})
}

func TestFirewallText(t *testing.T) {
	golden(t, "firewall.nft", exampleRuleset().String())
	golden(t, "firewall-empty.nft", firewall("shop", nil, nil, nil, foreign{}).String())
}

func TestDifference(t *testing.T) {
	have := []element{{Key: []string{"a"}}, {Key: []string{"b"}, Data: []string{"1"}}}
	want := []element{{Key: []string{"b"}, Data: []string{"2"}}, {Key: []string{"a"}}, {Key: []string{"a"}}}
	remove, add := difference(have, want)
	if len(remove) != 1 || remove[0].Data[0] != "1" || len(add) != 1 || add[0].Data[0] != "2" {
		t.Errorf("remove %v, add %v", remove, add)
	}
}
