package inspect

import (
	"net/netip"
	"slices"

	"stack/netns"
	"stack/scheduler"
)

// NetworkSettings is a container's place in its networks.
type NetworkSettings struct {
	Ports    map[string][]PortBinding
	Networks map[string]Endpoint // by name
}

// Endpoint is one interface of a container. Addresses are empty while it does
// not run.
type Endpoint struct {
	Aliases             []string
	MacAddress          string
	NetworkID           string
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	DNSNames            []string
}

func networkSettings(f Facts) NetworkSettings {
	s := NetworkSettings{Ports: ports(f), Networks: map[string]Endpoint{}}
	for _, name := range f.Details.Networks {
		s.Networks[name] = Endpoint{}
	}
	short := scheduler.Identity{ID: f.Instance.ID}.ShortID()
	for n, e := range f.Instance.Endpoints {
		name := e.Network
		if n < len(f.Details.Networks) {
			name = f.Details.Networks[n]
		}
		out := Endpoint{NetworkID: e.Network, DNSNames: e.Names, MacAddress: e.MAC}
		out.Aliases = slices.DeleteFunc(slices.Clone(e.Names), func(s string) bool { return s == short })
		for _, l := range f.Leases {
			if l.Network == e.Network && l.IfName == e.IfName {
				out.leased(l, f.Networks[e.Network])
			}
		}
		s.Networks[name] = out
	}
	return s
}

func (e *Endpoint) leased(l netns.Lease, n netns.Network) {
	e.MacAddress, e.EndpointID = l.MAC, l.Link
	e.IPAddress, e.Gateway, e.IPPrefixLen = address(l.IPv4, n)
	e.GlobalIPv6Address, e.IPv6Gateway, e.GlobalIPv6PrefixLen = address(l.IPv6, n)
}

// address gives an address with the gateway and length of its subnet. An internal
// network has no gateway: nothing beyond it can be reached.
func address(a netip.Addr, n netns.Network) (ip, gateway string, length int) {
	if !a.IsValid() {
		return "", "", 0
	}
	g := n.Gateway(a)
	if !g.IsValid() {
		return a.String(), "", a.BitLen()
	}
	if !n.Internal {
		gateway = g.Addr().String()
	}
	return a.String(), gateway, g.Bits()
}

// ports are the exposed ports with what is published of them now.
func ports(f Facts) map[string][]PortBinding {
	out := map[string][]PortBinding{}
	for port := range config(f).ExposedPorts {
		out[port] = nil
	}
	if s := f.Instance.Status(); s != "running" && s != "paused" {
		return out
	}
	for port, list := range bindings(f.Instance) {
		for n, b := range list {
			if b.HostIP == "" {
				list[n].HostIP = netip.IPv4Unspecified().String()
			}
		}
		out[port] = list
	}
	return out
}

// Network is a network as Docker shows it.
type Network struct {
	Name       string
	ID         string `json:"Id"`
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       IPAM
	Internal   bool
	Containers map[string]NetworkContainer // by ID
	Options    map[string]string
	Labels     map[string]string
}

// IPAM is how a network's addresses are given out.
type IPAM struct {
	Driver  string
	Options map[string]string
	Config  []Subnet
}

// Subnet is one range of addresses.
type Subnet struct {
	Subnet             string
	IPRange            string            `json:",omitempty"`
	Gateway            string            `json:",omitempty"`
	AuxiliaryAddresses map[string]string `json:",omitempty"`
}

// NetworkContainer is one container attached to a network.
type NetworkContainer struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
}

// NewNetwork shows a network with those who have a lease on it.
func NewNetwork(n netns.Network, leases []netns.Lease) Network {
	out := Network{
		Name: n.Name, ID: n.ID, Scope: "local", Driver: "bridge", EnableIPv4: true, EnableIPv6: n.IPv6,
		IPAM: IPAM{Driver: "default", Options: n.Options, Config: []Subnet{}}, Internal: n.Internal,
		Containers: map[string]NetworkContainer{}, Options: networkOptions(n), Labels: n.Labels,
	}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	for _, p := range n.Pools {
		out.IPAM.Config = append(out.IPAM.Config, subnet(p))
	}
	for _, l := range leases {
		c := NetworkContainer{Name: l.Hostname, EndpointID: l.Link, MacAddress: l.MAC}
		c.IPv4Address, c.IPv6Address = withLength(l.IPv4, n), withLength(l.IPv6, n)
		out.Containers[l.Container] = c
	}
	return out
}

func withLength(a netip.Addr, n netns.Network) string {
	if !a.IsValid() {
		return ""
	}
	return netip.PrefixFrom(a, max(n.Gateway(a).Bits(), 0)).String()
}

func subnet(p netns.Pool) Subnet {
	s := Subnet{Subnet: p.Subnet.String()}
	if p.Range.IsValid() {
		s.IPRange = p.Range.String()
	}
	if g := p.GatewayAddr(); g.IsValid() {
		s.Gateway = g.String()
	}
	for name, a := range p.Reserved {
		if s.AuxiliaryAddresses == nil {
			s.AuxiliaryAddresses = map[string]string{}
		}
		s.AuxiliaryAddresses[name] = a.String()
	}
	return s
}
