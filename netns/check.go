package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// maxPorts is how many links the kernel lets one bridge have: BR_MAX_PORTS is
// 1024 and port 0 is not used.
const maxPorts = 1023

// check finds everything wrong with a configuration that can be known without
// asking the kernel.
func (c Config) check() error {
	var errs *multierror.Error
	known := make(map[string]Network)
	for _, n := range c.Networks {
		if _, twice := known[n.ID]; twice {
			errs = multierror.Append(errs, fmt.Errorf("network %s is configured twice", n.Name))
		}
		known[n.ID] = n
		if err := n.check(); err != nil {
			errs = multierror.Append(errs, fmt.Errorf("network %s: %w", n.Name, err))
		}
	}
	errs = multierror.Append(errs, checkEndpoints(c.Endpoints, known)...)
	errs = multierror.Append(errs, checkPorts(c.Ports)...)
	return errs.ErrorOrNil()
}

func (n Network) check() error {
	if n.ID == "" || strings.Trim(n.ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("bad network ID %q", n.ID)
	}
	if n.Bridge != "" && !validLinkName(n.Bridge) {
		return fmt.Errorf("bad bridge name %q: at most %d characters, no space or slash", n.Bridge, linkNameLen)
	}
	if n.Size > maxPorts {
		return tooMany(n.Size)
	}
	if err := n.Bandwidth.check(); err != nil {
		return err
	}
	var errs *multierror.Error
	for i, p := range n.Pools {
		if err := p.check(); err != nil {
			errs = multierror.Append(errs, err)
		}
		for _, q := range n.Pools[:i] {
			if p.Subnet.IsValid() && q.Subnet.IsValid() && p.Subnet.Overlaps(q.Subnet) {
				errs = multierror.Append(errs, fmt.Errorf("its subnets %v and %v overlap", q.Subnet, p.Subnet))
			}
		}
	}
	return errs.ErrorOrNil()
}

func tooMany(n int) error {
	return fmt.Errorf("%d endpoints wanted, Linux gives a bridge at most %d ports; use more networks", n, maxPorts)
}

// validLinkName follows dev_valid_name in net/core/dev.c; '%' would be a pattern.
func validLinkName(s string) bool {
	return s != "" && len(s) <= linkNameLen && s != "." && s != ".." && !strings.ContainsAny(s, "/: \t\n\v\f\r%\"*")
}

func checkEndpoints(eps []Endpoint, known map[string]Network) (errs []error) {
	count := make(map[string]int)
	names := make(map[[2]string]bool)
	static := make(map[string]string)
	for _, e := range eps {
		n, ok := known[e.Network]
		if !ok {
			errs = append(errs, fmt.Errorf("container %s is on network %s, which is not configured", short(e.Container), e.Network))
			continue
		}
		count[e.Network]++
		if key := [2]string{e.Container, e.IfName}; names[key] {
			errs = append(errs, fmt.Errorf("container %s has two interfaces %s", short(e.Container), e.IfName))
		} else {
			names[key] = true
		}
		if err := e.check(); err != nil {
			errs = append(errs, fmt.Errorf("container %s on network %s: %w", short(e.Container), n.Name, err))
		}
		for _, a := range []netip.Addr{e.IPv4, e.IPv6} {
			key := e.Network + " " + a.String()
			if other, taken := static[key]; a.IsValid() && taken && other != e.Container {
				errs = append(errs, fmt.Errorf("containers %s and %s ask for the same address %v on network %s", short(other), short(e.Container), a, n.Name))
			}
			static[key] = e.Container
		}
	}
	for id, n := range count {
		if n > maxPorts {
			errs = append(errs, fmt.Errorf("network %s: %w", known[id].Name, tooMany(n)))
		}
	}
	slices.SortStableFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

func (e Endpoint) check() error {
	if e.Container == "" {
		return errors.New("endpoint without a container")
	}
	if !validLinkName(e.IfName) || e.IfName == "lo" {
		return fmt.Errorf("bad interface name %q", e.IfName)
	}
	if e.IPv4.IsValid() && !e.IPv4.Is4() || e.IPv6.IsValid() && !e.IPv6.Is6() {
		return fmt.Errorf("bad static address %v %v", e.IPv4, e.IPv6)
	}
	if e.MAC != "" {
		mac, err := net.ParseMAC(e.MAC)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			return fmt.Errorf("bad MAC address %q: six bytes, not multicast", e.MAC)
		}
	}
	if err := e.Bandwidth.check(); err != nil {
		return err
	}
	for key := range e.Sysctls {
		if _, err := endpointSysctl(key, e.IfName); err != nil {
			return err
		}
	}
	return nil
}

// endpointSysctl is the path under /proc/sys of an endpoint's own setting;
// "IFNAME" in key stands for the interface, as in Docker's endpoint options.
func endpointSysctl(key, ifName string) (string, error) {
	parts := strings.Split(key, ".")
	ok := len(parts) == 5 && parts[0] == "net" &&
		slices.Contains([]string{"ipv4", "ipv6", "mpls"}, parts[1]) &&
		slices.Contains([]string{"conf", "neigh"}, parts[2]) &&
		(parts[3] == "IFNAME" || parts[3] == ifName) &&
		parts[4] != "" && strings.Trim(parts[4], "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
	if !ok {
		return "", fmt.Errorf("sysctl %q is not one of the interface: net.ipv4.conf.IFNAME.… is meant", key)
	}
	parts[3] = ifName
	return strings.Join(parts, "/"), nil
}

func checkPorts(ports []Port) (errs []error) {
	seen := make(map[string]string)
	for _, p := range ports {
		if err := p.check(); err != nil {
			errs = append(errs, err)
			continue
		}
		if other, ok := seen[p.String()]; ok && other != p.owner() {
			errs = append(errs, fmt.Errorf("port %v is published twice, by %s and %s", p, brief(other), brief(p.owner())))
		}
		seen[p.String()] = p.owner()
	}
	return errs
}

func (p Port) check() error {
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return fmt.Errorf("port %d: protocol %q is neither tcp nor udp", p.HostPort, p.Protocol)
	}
	if p.HostPort == 0 || p.Target == 0 {
		return fmt.Errorf("container %s publishes port 0", short(p.Container))
	}
	return nil
}

// String is the port as `docker ps` writes the host's side: 127.0.0.1:80/tcp.
func (p Port) String() string {
	if p.wildcard() {
		return fmt.Sprintf("%d/%s", p.HostPort, p.Protocol)
	}
	return fmt.Sprintf("%v/%s", netip.AddrPortFrom(p.HostIP.Unmap(), p.HostPort), p.Protocol)
}

// owner is the service or container that the port belongs to.
func (p Port) owner() string {
	if p.Service != "" {
		return "service " + p.Service
	}
	return p.Container
}

func (p Port) wildcard() bool { return !p.HostIP.IsValid() }

// brief shortens owners that are containers.
func brief(owner string) string {
	if strings.HasPrefix(owner, "service ") {
		return owner
	}
	return "container " + short(owner)
}

func short(id string) string { return id[:min(12, len(id))] }
