package netns

import (
	"log/slog"
	"net/netip"
)

// Options say where a Host keeps its state and for whom it acts.
type Options struct {
	// State is the directory of host-wide network records (…/networks), 0700.
	State string
	// NetNS is the path of the network namespace to act in; empty is the
	// process's own.
	NetNS string
	// Project is the stack this Host acts for; it owns one nftables table.
	Project string
	Log     *slog.Logger
}

// Config is everything one project wants of the machine's network. Apply makes
// it so and removes what an earlier Config of the same project had in addition.
type Config struct {
	Networks  []Network
	Endpoints []Endpoint
	Ports     []Port
	Services  []Service
}

// Network is one bridge. Its record is networks/ID/network.json (Version 1).
type Network struct {
	// ID is stable and unique on the machine: NetworkID(project, key), or for an
	// external network the ID that Lookup found by its name.
	ID string
	// Name is what people see: PROJECT_KEY, or the file's `name:`.
	Name string
	// Project owns the network; empty for one made by `stack network create`.
	Project string
	// External networks must exist already and are left alone by Apply and Remove.
	External bool
	// Bridge is the link's name; empty takes BridgeName(ID).
	Bridge string
	// Pools are the subnets. Those without a Subnet are chosen by Apply, clear of
	// the host's routes and other networks, sized to hold Size addresses.
	Pools []Pool
	// ServicePools are the ranges of service addresses, chosen by Apply.
	ServicePools []netip.Prefix `json:",omitempty"`
	// Size is the number of endpoints to expect (replicas plus surge).
	Size       int
	IPv6       bool
	Internal   bool // no way to the host or the outside
	Masquerade bool // default true for non-internal
	Isolated   bool // endpoints may not talk to each other (ICC off)
	MTU        int  // 0 takes that of the host's default route
	// Bandwidth is for all endpoints together.
	Bandwidth Bandwidth `json:",omitzero"`
	Labels    map[string]string
	// Options are those of the allocator of addresses, which knows none: they are
	// kept to be shown.
	Options map[string]string `json:",omitempty"`
}

// Pool is one subnet of a network.
type Pool struct {
	Subnet  netip.Prefix // zero: chosen by Apply
	Range   netip.Prefix // dynamic addresses come from here; zero: Subnet
	Gateway netip.Addr   // zero: the subnet's first address
	// Reserved maps auxiliary names to addresses that are never leased.
	Reserved map[string]netip.Addr
}

// Service is what one service is to be on one network: an address of its own,
// balanced over its backends.
type Service struct {
	Name    string
	Network string
	// Names are what resolvers answer with the address: the service's, its aliases.
	Names []string
	// Backends are the containers that take new connections.
	Backends []string
}

// Endpoint is one interface of one container.
type Endpoint struct {
	// Container is the container's ID; Network the network's.
	Container string
	Network   string
	// IfName is the name inside ("eth0").
	IfName string
	// Static addresses asked for in the file; zero values are leased.
	IPv4, IPv6 netip.Addr
	LinkLocal  []netip.Addr
	MAC        string // "" derives one from the IPv4 address
	// Default says the default routes go through this network.
	Default bool
	// Names are what the embedded resolver answers on this network: container
	// name, short ID, service, aliases. SharedNames (service, aliases) may belong
	// to several containers; all their addresses are answered.
	Names []string
	// Service is the service whose replica it is, empty for one-offs. Names that
	// the service has too are the service's.
	Service string `json:",omitempty"`
	// Hostname is what reverse lookups answer (see Lease).
	Hostname string
	// MTU 0 takes the network's.
	MTU int
	// Tap gives the addresses to a virtual machine: the container's namespace has a
	// tap device for it and passes packets on; see Tap.
	Tap bool `json:",omitempty"`
	// Bandwidth is this endpoint's share of its network, at most.
	Bandwidth Bandwidth `json:",omitzero"`
	Sysctls   map[string]string
}

// Port is one published port of one container. Several containers of a Service
// may publish the same one: new connections are balanced over them.
type Port struct {
	// Container receives the traffic on Target.
	Container string
	// Service owns the port; empty: the container alone does.
	Service string `json:",omitempty"`
	// Resting says that the container takes no new connections now. UDP clients
	// that it has stay with it, as TCP connections do anyway.
	Resting  bool   `json:",omitempty"`
	Protocol string // "tcp" or "udp"
	// HostIP is the zero Addr for every address of the host, both families;
	// 0.0.0.0 and :: are every address of one.
	HostIP   netip.Addr
	HostPort uint16
	Target   uint16
}

// Lease is what an endpoint got, recorded in networks/ID/leases.json (Version 1)
// as a list, under the network's flock; every resolver on the machine reads it.
type Lease struct {
	Container string
	Project   string
	Network   string
	IfName    string
	Link      string // host side of the veth pair
	IPv4      netip.Addr
	IPv6      netip.Addr
	MAC       string
	Names     []string
	Service   string `json:",omitempty"`
	// Hostname is the name that reverse lookups answer (the container's name).
	Hostname  string
	Bandwidth Bandwidth `json:",omitzero"`
	// Routed says that a virtual machine has the addresses. Attach tells it how.
	Routed bool `json:",omitempty"`
	Tap    *Tap `json:"-"`
	// NetNS is the inode of the container's network namespace: a pid is trusted
	// only when /proc/PID/ns/net still is this one.
	NetNS uint64
}

// Seen is what the machine's network looks like for a project.
type Seen struct {
	Networks []Network // recorded ones of this project, with subnets filled in
	Leases   []Lease
	// Broken is what is recorded but missing or altered in the kernel; Apply repairs
	// it.
	Broken []Fault
}

// Fault is one thing that Apply would repair.
type Fault struct {
	Network   string // its name, where one network is concerned
	Container string // its ID, where one container is
	Text      string // "link st… is missing"
}

func (f Fault) String() string { return f.Text }
