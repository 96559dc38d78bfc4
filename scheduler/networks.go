package scheduler

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/spec"
)

// Networks describes the networks that the services use (all services when none
// is named), by key. ids maps keys to IDs, scale gives the number of replicas
// wished.
func Networks(p *types.Project, ids map[string]string, scale func(service string) int, services ...string) ([]netns.Network, error) {
	if len(services) == 0 {
		services = p.ServiceNames()
	}
	size := map[string]int{}
	for _, name := range services {
		s, ok := p.Services[name]
		if !ok {
			continue
		}
		for _, key := range attachments(s) {
			size[key] += endpointsOf(s, scale(name))
		}
	}
	var out []netns.Network
	for _, key := range slices.Sorted(maps.Keys(size)) {
		n, err := network(p, key)
		if err != nil {
			return nil, fmt.Errorf("network %q: %w", key, err)
		}
		if n.ID = ids[key]; n.ID == "" {
			return nil, fmt.Errorf("network %q has no ID", key)
		}
		n.Size = size[key]
		out = append(out, n)
	}
	return out, nil
}

// endpointsOf is how many addresses a service can need at once: its replicas, and
// those that live beside them while they are replaced.
func endpointsOf(s types.ServiceConfig, scale int) int {
	surge := 1
	if s.Deploy != nil && s.Deploy.UpdateConfig != nil && s.Deploy.UpdateConfig.Parallelism != nil {
		surge = int(min(*s.Deploy.UpdateConfig.Parallelism, uint64(max(scale, 1))))
		if surge == 0 { // all at once
			surge = scale
		}
	}
	return scale + max(surge, 1)
}

// attachments lists the keys of the networks a service joins in Compose's order:
// by priority, then name.
func attachments(s types.ServiceConfig) []string {
	switch s.NetworkMode {
	case "":
		return s.NetworksByPriority()
	case "bridge", "default":
		return []string{"default"}
	}
	return nil
}

func network(p *types.Project, key string) (netns.Network, error) {
	c := p.Networks[key]
	n := netns.Network{Name: NetworkName(p, key), External: bool(c.External)}
	if n.External {
		return n, nil
	}
	x, err := spec.NetworkExtension(c)
	if err != nil {
		return n, err
	}
	n.Bandwidth = bandwidth(x.Bandwidth)
	n.Project = p.Name
	n.Internal = c.Internal
	n.Masquerade = !c.Internal
	n.IPv6 = c.EnableIPv6 != nil && *c.EnableIPv6
	n.Labels = networkLabels(p, key, c)
	switch {
	case c.Driver != "" && c.Driver != "bridge" && c.Driver != "default":
		return n, fmt.Errorf("driver %q is not supported", c.Driver)
	case c.Ipam.Driver != "" && c.Ipam.Driver != "default":
		return n, fmt.Errorf("ipam driver %q is not supported", c.Ipam.Driver)
	case c.EnableIPv4 != nil && !*c.EnableIPv4:
		return n, errors.New("enable_ipv4: false is not supported")
	}
	if err := networkOptions(&n, c.DriverOpts); err != nil {
		return n, err
	}
	n.Options = c.Ipam.Options
	for _, pool := range c.Ipam.Config {
		np, err := networkPool(pool)
		if err != nil {
			return n, err
		}
		n.Pools = append(n.Pools, np)
		n.IPv6 = n.IPv6 || np.Subnet.IsValid() && np.Subnet.Addr().Is6()
	}
	return n, nil
}

func bandwidth(b spec.Bandwidth) netns.Bandwidth {
	return netns.Bandwidth{Ingress: uint64(b.Ingress), Egress: uint64(b.Egress)}
}

// bandwidthOf are the limits that the wish sets now, on networks and on each
// interface of each service: they change while containers run.
func bandwidthOf(p *types.Project) (networks, services map[string]netns.Bandwidth, err error) {
	networks, services = map[string]netns.Bandwidth{}, map[string]netns.Bandwidth{}
	for key, n := range p.Networks {
		x, err := spec.NetworkExtension(n)
		if err != nil {
			return nil, nil, err
		}
		networks[key] = bandwidth(x.Bandwidth)
	}
	for name, s := range p.Services {
		x, err := spec.ServiceExtension(s)
		if err != nil {
			return nil, nil, err
		}
		services[name] = bandwidth(x.Bandwidth)
	}
	return networks, services, nil
}

func networkLabels(p *types.Project, key string, c types.NetworkConfig) map[string]string {
	labels := map[string]string{}
	maps.Copy(labels, c.Labels)
	maps.Copy(labels, c.CustomLabels)
	labels["com.docker.compose.network"] = key
	labels["com.docker.compose.project"] = p.Name
	return labels
}

// networkOptions reads the bridge driver's options.
func networkOptions(n *netns.Network, opts types.Options) error {
	for _, key := range slices.Sorted(maps.Keys(opts)) {
		value := opts[key]
		var err error
		switch key {
		case "com.docker.network.bridge.name":
			n.Bridge = value
		case "com.docker.network.bridge.enable_icc":
			var together bool
			together, err = strconv.ParseBool(value)
			n.Isolated = !together
		case "com.docker.network.bridge.enable_ip_masquerade":
			n.Masquerade, err = strconv.ParseBool(value)
			n.Masquerade = n.Masquerade && !n.Internal
		case "com.docker.network.driver.mtu":
			n.MTU, err = strconv.Atoi(value)
		default:
			return fmt.Errorf("driver option %q is not supported", key)
		}
		if err != nil {
			return fmt.Errorf("driver option %s: %q is not a value for it", key, value)
		}
	}
	return nil
}

func networkPool(c *types.IPAMPool) (p netns.Pool, err error) {
	if c == nil {
		return p, nil
	}
	prefix := func(text string) (out netip.Prefix) {
		if text != "" && err == nil {
			out, err = netip.ParsePrefix(text)
		}
		return out.Masked()
	}
	addr := func(text string) (out netip.Addr) {
		if text != "" && err == nil {
			out, err = netip.ParseAddr(text)
		}
		return out
	}
	p = netns.Pool{Subnet: prefix(c.Subnet), Range: prefix(c.IPRange), Gateway: addr(c.Gateway)}
	for _, name := range slices.Sorted(maps.Keys(c.AuxiliaryAddresses)) {
		if p.Reserved == nil {
			p.Reserved = map[string]netip.Addr{}
		}
		p.Reserved[name] = addr(c.AuxiliaryAddresses[name])
	}
	if err != nil {
		return p, fmt.Errorf("ipam: %w", err)
	}
	return p, checkPool(p)
}

func checkPool(p netns.Pool) error {
	if !p.Subnet.IsValid() {
		if p.Range.IsValid() || p.Gateway.IsValid() || len(p.Reserved) > 0 {
			return errors.New("ipam: ip_range, gateway and aux_addresses need a subnet")
		}
		return nil
	}
	if p.Range.IsValid() && (!p.Subnet.Contains(p.Range.Addr()) || p.Range.Bits() < p.Subnet.Bits()) {
		return fmt.Errorf("ipam: ip_range %s lies outside %s", p.Range, p.Subnet)
	}
	if p.Gateway.IsValid() && !p.Subnet.Contains(p.Gateway) {
		return fmt.Errorf("ipam: gateway %s lies outside %s", p.Gateway, p.Subnet)
	}
	for name, a := range p.Reserved {
		if !p.Subnet.Contains(a) {
			return fmt.Errorf("ipam: address %s of %q lies outside %s", a, name, p.Subnet)
		}
	}
	return nil
}
