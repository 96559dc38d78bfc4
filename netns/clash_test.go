package netns

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestClashNamesTheInterface(t *testing.T) {
	at := func(p, link string) hostSubnet { return hostSubnet{netip.MustParsePrefix(p), link} }
	own := []hostSubnet{at("192.168.1.0/24", "eth0")}
	routes := []hostSubnet{at("10.20.0.0/16", "eth0"), at("10.0.0.0/8", "eth0"), at("172.20.0.0/14", "wg0"), at("fd00::/8", "tun0")}
	for subnet, want := range map[string]string{
		"192.168.0.0/16": "subnet 192.168.0.0/16 of network net overlaps the host's own 192.168.1.0/24 (interface eth0)",
		"10.20.0.0/16":   "subnet 10.20.0.0/16 of network net overlaps the host's route to 10.20.0.0/16 through interface eth0",
		"10.20.0.0/15":   "subnet 10.20.0.0/15 of network net overlaps the host's route to 10.20.0.0/16 through interface eth0",
		"10.20.5.0/24":   "<nil>",
		"10.9.0.0/24":    "<nil>",
		"172.21.5.0/24":  "subnet 172.21.5.0/24 of network net overlaps 172.20.0.0/14, which the VPN interface wg0 leads to",
		"fd00:1::/64":    "subnet fd00:1::/64 of network net overlaps fd00::/8, which the VPN interface tun0 leads to",
		"172.30.0.0/24":  "<nil>",
	} {
		n := Network{Name: "net", Pools: []Pool{{Subnet: netip.MustParsePrefix(subnet)}}}
		err := n.clash(nil, own)
		if err == nil {
			err = n.clashRoutes(routes, map[string]bool{"wg0": true, "tun0": true})
		}
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s:\n got %s\nwant %s", subnet, got, want)
		}
	}
}
