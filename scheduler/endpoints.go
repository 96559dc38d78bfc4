package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/spec"
)

// Endpoints describes a container's interfaces, one a network, in the order of
// their names inside. scale is the number of replicas wished: a fixed address is
// refused when there are several.
func Endpoints(p *types.Project, s types.ServiceConfig, i Identity, scale int, ids map[string]string) ([]netns.Endpoint, error) {
	keys := attachments(s)
	var out []netns.Endpoint
	names := map[string]bool{}
	for _, key := range keys {
		e, err := endpoint(p, s, key, i, scale)
		if err != nil {
			return nil, fmt.Errorf("network %q: %w", key, err)
		}
		if e.Network = ids[key]; e.Network == "" {
			return nil, fmt.Errorf("network %q has no ID", key)
		}
		if e.IfName != "" && names[e.IfName] {
			return nil, fmt.Errorf("network %q: interface_name %q is taken by another network", key, e.IfName)
		}
		names[e.IfName] = true
		out = append(out, e)
	}
	nameInterfaces(out, names)
	if at := slices.Index(keys, defaultNetwork(p, s, keys)); at >= 0 {
		out[at].Default = true
	}
	return out, nil
}

// nameInterfaces gives those without a name of their own eth0, eth1 and so on.
func nameInterfaces(endpoints []netns.Endpoint, taken map[string]bool) {
	next := 0
	for n := range endpoints {
		for endpoints[n].IfName == "" {
			if name := fmt.Sprintf("eth%d", next); !taken[name] {
				endpoints[n].IfName = name
			}
			next++
		}
	}
}

// defaultNetwork is the one that the default routes go through: the highest
// gw_priority, then priority, then the first name. An internal network leads
// nowhere. Whether an external one is internal is not known here.
func defaultNetwork(p *types.Project, s types.ServiceConfig, keys []string) string {
	outside := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return p.Networks[key].Internal })
	if len(outside) == 0 {
		return ""
	}
	return slices.MinFunc(outside, func(a, b string) int {
		x, y := attachment(s, a), attachment(s, b)
		return cmp.Or(-cmp.Compare(x.GatewayPriority, y.GatewayPriority), -cmp.Compare(x.Priority, y.Priority), cmp.Compare(a, b))
	})
}

// attachment is what a service says about one of its networks.
func attachment(s types.ServiceConfig, key string) types.ServiceNetworkConfig {
	if n := s.Networks[key]; n != nil {
		return *n
	}
	return types.ServiceNetworkConfig{}
}

func endpoint(p *types.Project, s types.ServiceConfig, key string, i Identity, scale int) (netns.Endpoint, error) {
	n := attachment(s, key)
	e := netns.Endpoint{Container: i.ID, Hostname: i.Name, IfName: n.InterfaceName, Names: endpointNames(s, key, i)}
	if !i.OneOff {
		e.Service = s.Name
	}
	if len(e.IfName) > 15 || strings.ContainsAny(e.IfName, "/ \t\n:") || e.IfName == "lo" || e.IfName == "." || e.IfName == ".." {
		return e, fmt.Errorf("interface_name %q cannot be a link's name", e.IfName)
	}
	if err := staticAddresses(&e, n); err != nil {
		return e, err
	}
	e.MAC = n.MacAddress
	if e.MAC == "" && s.MacAddress != "" && attachments(s)[0] == key {
		e.MAC = s.MacAddress
	}
	if e.MAC != "" {
		mac, err := net.ParseMAC(e.MAC)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			return e, fmt.Errorf("mac_address %q is not the address of an interface", e.MAC)
		}
		e.MAC = mac.String()
	}
	if fixed := e.IPv4.IsValid() || e.IPv6.IsValid() || e.MAC != ""; fixed && scale > 1 && !i.OneOff {
		return e, fmt.Errorf("service %q has a fixed address and %d replicas", s.Name, scale)
	}
	x, err := spec.ServiceExtension(s)
	if err != nil {
		return e, err
	}
	e.Bandwidth = bandwidth(x.Bandwidth)
	e.Sysctls, err = endpointSysctls(n.DriverOpts)
	return e, err
}

func staticAddresses(e *netns.Endpoint, n types.ServiceNetworkConfig) error {
	parse := func(text string, ok func(netip.Addr) bool) (netip.Addr, error) {
		if text == "" {
			return netip.Addr{}, nil
		}
		a, err := netip.ParseAddr(text)
		if err != nil || !ok(a) || a.Zone() != "" {
			return netip.Addr{}, fmt.Errorf("address %q is not of the kind wanted there", text)
		}
		return a, nil
	}
	var err error
	if e.IPv4, err = parse(n.Ipv4Address, netip.Addr.Is4); err != nil {
		return err
	}
	if e.IPv6, err = parse(n.Ipv6Address, func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }); err != nil {
		return err
	}
	for _, text := range n.LinkLocalIPs {
		a, err := parse(text, netip.Addr.IsLinkLocalUnicast)
		if err != nil {
			return err
		}
		e.LinkLocal = append(e.LinkLocal, a)
	}
	return nil
}

// endpointNames are what others find the container by on a network. Aliases in
// other services' links are theirs alone: see resolverClient.
func endpointNames(s types.ServiceConfig, key string, i Identity) []string {
	names := append([]string{i.Name, i.ShortID(), hostnameOf(s, i)}, serviceNames(s, key)...)
	var out []string
	for _, name := range names {
		if name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// endpointSysctls reads com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.log_martians=1,…".
func endpointSysctls(opts types.Options) (map[string]string, error) {
	var out map[string]string
	for _, key := range slices.Sorted(maps.Keys(opts)) {
		if key != "com.docker.network.endpoint.sysctls" {
			return nil, fmt.Errorf("driver option %q is not supported", key)
		}
		for kv := range strings.SplitSeq(opts[key], ",") {
			name, value, ok := strings.Cut(kv, "=")
			if !ok || !strings.HasPrefix(name, "net.") || !strings.Contains(name, ".IFNAME.") {
				return nil, fmt.Errorf("endpoint sysctl %q is not of the form net.….IFNAME.…=VALUE", kv)
			}
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out, nil
}
