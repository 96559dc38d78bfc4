package scheduler

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
)

// Ports lists a container's published ports, which are its service's unless it is
// a one-off. HostPort 0 stands for one that is still to be chosen. Of a published
// range for one target, replica n takes the n-th port. A service without a network
// of its own publishes nothing.
func Ports(s types.ServiceConfig, i Identity) ([]netns.Port, error) {
	if len(attachments(s)) == 0 {
		return nil, nil
	}
	var out []netns.Port
	for _, c := range s.Ports {
		p, err := port(c, i)
		if err != nil {
			return nil, fmt.Errorf("port %s:%d of service %q: %w", c.Published, c.Target, s.Name, err)
		}
		if !i.OneOff {
			p.Service = s.Name
		}
		out = append(out, p)
	}
	return out, nil
}

func port(c types.ServicePortConfig, i Identity) (netns.Port, error) {
	p := netns.Port{Container: i.ID, Protocol: strings.ToLower(cmp.Or(c.Protocol, "tcp")), Target: uint16(c.Target)}
	if p.Protocol != "tcp" && p.Protocol != "udp" {
		return p, fmt.Errorf("protocol %q is neither tcp nor udp", c.Protocol)
	}
	if c.Target == 0 || c.Target > 65535 {
		return p, fmt.Errorf("%d is not a port", c.Target)
	}
	if c.HostIP != "" {
		ip, err := netip.ParseAddr(strings.Trim(c.HostIP, "[]"))
		if err != nil {
			return p, fmt.Errorf("host address %q: %w", c.HostIP, err)
		}
		p.HostIP = ip.Unmap()
	}
	var err error
	p.HostPort, err = hostPort(c.Published, i)
	return p, err
}

// hostPort picks a container's port of "", "8080" or "8000-8010".
func hostPort(published string, i Identity) (uint16, error) {
	if published == "" {
		return 0, nil
	}
	low, high, ranged := strings.Cut(published, "-")
	first, err := strconv.ParseUint(low, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", low)
	}
	if !ranged {
		return uint16(first), nil
	}
	last, err := strconv.ParseUint(high, 10, 16)
	if err != nil || last < first || first == 0 {
		return 0, fmt.Errorf("%q is not a range of ports", published)
	}
	at := first + uint64(max(i.Number, 1)-1)
	if at > last {
		return 0, fmt.Errorf("replica %d has no port left", i.Number)
	}
	return uint16(at), nil
}
