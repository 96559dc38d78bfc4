package scheduler

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"

	"stack/netns"
	"stack/spec"
)

func attached(name string, networks ...string) types.ServiceConfig {
	s := types.ServiceConfig{Name: name}
	for _, key := range networks {
		if s.Networks == nil {
			s.Networks = map[string]*types.ServiceNetworkConfig{}
		}
		s.Networks[key] = nil
	}
	return s
}

func one(string) int { return 1 }

func TestNetworksDescribesWhatServicesUse(t *testing.T) {
	big := attached("big", "front")
	big.Deploy = &types.DeployConfig{UpdateConfig: &types.UpdateConfig{Parallelism: new(uint64(0))}}
	p := projectOf(attached("web", "front", "back"), attached("db", "back", "ext"), big)
	p.Networks = types.Networks{
		"front": {Name: "shop_front", EnableIPv6: new(true), Labels: types.Labels{"a": "b"},
			DriverOpts: types.Options{
				"com.docker.network.bridge.name": "br0", "com.docker.network.bridge.enable_icc": "false",
				"com.docker.network.bridge.enable_ip_masquerade": "false", "com.docker.network.driver.mtu": "1400"},
			Ipam: types.IPAMConfig{Config: []*types.IPAMPool{{Subnet: "10.9.0.1/24", IPRange: "10.9.0.128/25", Gateway: "10.9.0.9",
				AuxiliaryAddresses: types.Mapping{"printer": "10.9.0.4"}}}}},
		"back":   {Internal: true},
		"ext":    {External: true, Name: "wan"},
		"unused": {},
	}
	ids := map[string]string{"front": "f", "back": "b", "ext": "e"}
	got, err := Networks(p, ids, func(s string) int { return map[string]int{"web": 2, "db": 1, "big": 5}[s] })
	if err != nil {
		t.Fatal(err)
	}
	labels := func(key string) map[string]string {
		return map[string]string{"com.docker.compose.network": key, "com.docker.compose.project": "shop"}
	}
	front := labels("front")
	front["a"] = "b"
	want := []netns.Network{
		{ID: "b", Name: "shop_back", Project: "shop", Size: 5, Internal: true, Labels: labels("back")},
		{ID: "e", Name: "wan", External: true, Size: 2},
		{ID: "f", Name: "shop_front", Project: "shop", Size: 13, IPv6: true, Isolated: true, MTU: 1400, Bridge: "br0", Labels: front,
			Pools: []netns.Pool{{Subnet: netip.MustParsePrefix("10.9.0.0/24"), Range: netip.MustParsePrefix("10.9.0.128/25"),
				Gateway: netip.MustParseAddr("10.9.0.9"), Reserved: map[string]netip.Addr{"printer": netip.MustParseAddr("10.9.0.4")}}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if only, err := Networks(p, ids, one, "db"); err != nil || len(only) != 2 {
		t.Errorf("db alone: %v, %v", only, err)
	}
}

func TestNetworksRefuses(t *testing.T) {
	pool := func(p types.IPAMPool) types.NetworkConfig {
		return types.NetworkConfig{Ipam: types.IPAMConfig{Config: []*types.IPAMPool{&p}}}
	}
	for want, n := range map[string]types.NetworkConfig{
		`driver "macvlan"`:             {Driver: "macvlan"},
		`ipam driver "x"`:              {Ipam: types.IPAMConfig{Driver: "x"}},
		"enable_ipv4: false":           {EnableIPv4: new(false)},
		`driver option "x"`:            {DriverOpts: types.Options{"x": "y"}},
		`"many" is not a value`:        {DriverOpts: types.Options{"com.docker.network.driver.mtu": "many"}},
		"ipam: netip.ParsePrefix":      pool(types.IPAMPool{Subnet: "10.0.0.0"}),
		"gateway 10.1.0.1 lies":        pool(types.IPAMPool{Subnet: "10.0.0.0/24", Gateway: "10.1.0.1"}),
		"ip_range 10.0.0.0/16 lies":    pool(types.IPAMPool{Subnet: "10.0.0.0/24", IPRange: "10.0.0.0/16"}),
		`10.1.0.1 of "a" lies outside`: pool(types.IPAMPool{Subnet: "10.0.0.0/24", AuxiliaryAddresses: types.Mapping{"a": "10.1.0.1"}}),
		"need a subnet":                pool(types.IPAMPool{Gateway: "10.1.0.1"}),
	} {
		p := projectOf(attached("web", "n"))
		p.Networks = types.Networks{"n": n}
		_, err := Networks(p, map[string]string{"n": "id"}, one)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestEndpointsDefaultRoute(t *testing.T) {
	networks := types.Networks{"a": {}, "b": {}, "c": {Internal: true}, "d": {}}
	for want, config := range map[string]map[string]*types.ServiceNetworkConfig{
		"a": {"a": nil, "b": nil, "c": nil},
		"b": {"a": nil, "b": {Priority: 1}, "c": {Priority: 9}},
		"d": {"a": nil, "b": {Priority: 5}, "d": {GatewayPriority: 1}},
		"":  {"c": nil},
	} {
		p := projectOf(types.ServiceConfig{Name: "s", ContainerSpec: types.ContainerSpec{Networks: config}})
		p.Networks = networks
		got, err := Endpoints(p, p.Services["s"], Identity{ID: "x", Name: "n"}, 1, map[string]string{"a": "a", "b": "b", "c": "c", "d": "d"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got {
			if e.Default != (e.Network == want) {
				t.Errorf("want %q, got %+v", want, got)
			}
		}
	}
}

func TestBandwidthOfTheFile(t *testing.T) {
	limit := func(in, out string) types.Extensions {
		return types.Extensions{"x-stack": map[string]any{"bandwidth": map[string]any{"ingress": in, "egress": out}}}
	}
	project := func(network, service types.Extensions) *types.Project {
		p := projectOf(types.ServiceConfig{Name: "s", Extensions: service,
			ContainerSpec: types.ContainerSpec{Networks: map[string]*types.ServiceNetworkConfig{"n": nil}}})
		p.Networks = types.Networks{"n": {Extensions: network}}
		return p
	}
	p := project(limit("20mbit", "1gbit"), limit("10mbit", "64kbit"))
	ids := map[string]string{"n": "id"}
	networks, err := Networks(p, ids, func(string) int { return 1 })
	if want := (netns.Bandwidth{Ingress: 20e6, Egress: 1e9}); err != nil || networks[0].Bandwidth != want {
		t.Errorf("network: got %+v, %v", networks, err)
	}
	endpoints, err := Endpoints(p, p.Services["s"], Identity{ID: "x", Name: "n"}, 1, ids)
	if want := (netns.Bandwidth{Ingress: 10e6, Egress: 64e3}); err != nil || endpoints[0].Bandwidth != want {
		t.Errorf("endpoint: got %+v, %v", endpoints, err)
	}
	same := &spec.Stack{Project: p}
	for _, other := range []*types.Project{project(nil, limit("10mbit", "64kbit")), project(limit("20mbit", "1gbit"), nil)} {
		if sameBandwidth(same, &spec.Stack{Project: other}) || !sameBandwidth(same, same) {
			t.Error("a changed limit goes unseen")
		}
	}
}

func TestEndpointsRefuses(t *testing.T) {
	for want, c := range map[string]struct {
		n     types.ServiceNetworkConfig
		scale int
	}{
		"fixed address and 2 replicas":      {types.ServiceNetworkConfig{Ipv4Address: "10.0.0.9"}, 2},
		`address "fd00::1" is not`:          {types.ServiceNetworkConfig{Ipv4Address: "fd00::1"}, 1},
		`address "10.0.0.1" is not`:         {types.ServiceNetworkConfig{Ipv6Address: "10.0.0.1"}, 1},
		`address "10.0.0.2" is not`:         {types.ServiceNetworkConfig{LinkLocalIPs: []string{"10.0.0.2"}}, 1},
		`mac_address "01:00:00:00:00:01"`:   {types.ServiceNetworkConfig{MacAddress: "01:00:00:00:00:01"}, 1},
		`interface_name "a/b"`:              {types.ServiceNetworkConfig{InterfaceName: "a/b"}, 1},
		`driver option "x" is not`:          {types.ServiceNetworkConfig{DriverOpts: types.Options{"x": "y"}}, 1},
		`endpoint sysctl "kernel.x=1" is`:   {types.ServiceNetworkConfig{DriverOpts: types.Options{"com.docker.network.endpoint.sysctls": "kernel.x=1"}}, 1},
		`interface_name "lo" cannot be a l`: {types.ServiceNetworkConfig{InterfaceName: "lo"}, 1},
	} {
		p := projectOf(types.ServiceConfig{Name: "s", ContainerSpec: types.ContainerSpec{Networks: map[string]*types.ServiceNetworkConfig{"n": &c.n}}})
		_, err := Endpoints(p, p.Services["s"], Identity{ID: "x", Name: "n"}, c.scale, map[string]string{"n": "id"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestEndpointsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := types.ServiceConfig{Name: "s", ContainerSpec: types.ContainerSpec{Networks: map[string]*types.ServiceNetworkConfig{}}}
		ids := map[string]string{}
		for i := range rapid.IntRange(0, 6).Draw(t, "networks") {
			key := fmt.Sprintf("n%d", i)
			ids[key] = key
			s.Networks[key] = &types.ServiceNetworkConfig{Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
				GatewayPriority: rapid.IntRange(-1, 1).Draw(t, "gw"), Aliases: []string{"s", "s", "x"}}
			if i < 2 {
				s.Networks[key].InterfaceName = rapid.SampledFrom([]string{"", fmt.Sprintf("eth%d", 4+i), "wan" + key}).Draw(t, "if")
			}
		}
		p := projectOf(s)
		got, err := Endpoints(p, s, Identity{ID: "0123456789abcdef", Name: "c"}, 3, ids)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := Endpoints(p, s, Identity{ID: "0123456789abcdef", Name: "c"}, 3, ids)
		if !reflect.DeepEqual(got, again) {
			t.Fatal("not deterministic")
		}
		links, defaults := map[string]bool{}, 0
		for _, e := range got {
			if links[e.IfName] || e.IfName == "" {
				t.Fatalf("interface names %+v", got)
			}
			links[e.IfName] = true
			if e.Default {
				defaults++
			}
			if !slices.Equal(e.Names, []string{"c", "0123456789ab", "s", "x"}) {
				t.Fatalf("names %v", e.Names)
			}
		}
		if len(got) != len(ids) || defaults != min(1, len(ids)) {
			t.Fatalf("%d endpoints with %d defaults of %d networks", len(got), defaults, len(ids))
		}
	})
}

func TestPorts(t *testing.T) {
	for text, want := range map[string]string{
		"|80/tcp":            "0",
		"8080|80/tcp":        "8080",
		"8000-8002|80/tcp":   "8001",
		"8000|80/sctp":       "!neither tcp nor udp",
		"8000|0/tcp":         "!0 is not a port",
		"8000|70000/udp":     "!70000 is not a port",
		"x|80/tcp":           `!"x" is not a port`,
		"9-8|80/tcp":         `!not a range`,
		"0-8|80/tcp":         `!not a range`,
		"8000-8000|80/tcp":   "!replica 2 has no port left",
		"65535-70000|80/tcp": "!not a range",
	} {
		var c types.ServicePortConfig
		published, rest, _ := strings.Cut(text, "|")
		c.Published = published
		if _, err := fmt.Sscanf(strings.Replace(rest, "/", " ", 1), "%d %s", &c.Target, &c.Protocol); err != nil {
			t.Fatal(err)
		}
		s := attached("s", "n")
		s.Ports = []types.ServicePortConfig{c}
		got, err := Ports(s, Identity{ID: "x", Number: 2})
		if reason, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: got %v", text, err)
			}
		} else if err != nil || fmt.Sprint(got[0].HostPort) != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

// Replicas that share a range never get one port twice, nor one outside it.
func TestPortRangeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint16Range(1, 65000).Draw(t, "first")
		size := rapid.IntRange(1, 30).Draw(t, "size")
		s := attached("s", "n")
		s.Ports = []types.ServicePortConfig{{Target: 80, Published: fmt.Sprintf("%d-%d", first, int(first)+size-1)}}
		seen := map[uint16]bool{}
		for n := 1; n <= size+1; n++ {
			got, err := Ports(s, Identity{ID: "x", Number: n})
			if n > size {
				if err == nil {
					t.Fatalf("replica %d of a range of %d got %v", n, size, got)
				}
				continue
			}
			if err != nil || seen[got[0].HostPort] || got[0].HostPort < first || int(got[0].HostPort) >= int(first)+size {
				t.Fatalf("replica %d got %v, %v", n, got, err)
			}
			seen[got[0].HostPort] = true
		}
	})
}
