package scheduler

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"stack/netns"
)

// tornNetwork is a network whose records are what its functions say.
type tornNetwork struct {
	fakeNetwork
	leases   func() ([]netns.Lease, error)
	services func() ([]netns.ServiceLease, error)
}

func (n tornNetwork) Leases(string) ([]netns.Lease, error)          { return n.leases() }
func (n tornNetwork) Services(string) ([]netns.ServiceLease, error) { return n.services() }

// TestResolverErrors: a record that cannot be read, and a container that is dropped, make
// a name unknown to nobody; a network that was removed has no names.
func TestResolverErrors(t *testing.T) {
	var leasesErr, servicesErr error
	r := newResolver(tornNetwork{
		leases: func() ([]netns.Lease, error) {
			return []netns.Lease{{Container: "c", IPv4: netip.MustParseAddr("10.0.0.2"), Names: []string{"web"}}}, leasesErr
		},
		services: func() ([]netns.ServiceLease, error) { return nil, servicesErr },
	}, nil, nil)
	r.clients["c"] = resolverClient{networks: map[string]string{"n": "net"}}
	torn, removed := errors.New("torn"), fmt.Errorf("%w: n", netns.ErrNotFound)
	for _, c := range []struct {
		asker, name      string
		leases, services error
		found, failed    bool
	}{
		{"c", "web", nil, nil, true, false},
		{"c", "web.net", nil, nil, true, false},
		{"c", "nobody", nil, nil, false, false},
		{"c", "web", torn, nil, false, true},
		{"c", "web", nil, torn, false, true},
		{"c", "web", removed, nil, false, false},
		{"dropped", "web", nil, nil, false, true},
	} {
		leasesErr, servicesErr = c.leases, c.services
		addrs, ok, err := r.Lookup(c.asker, c.name)
		if ok != c.found || (err != nil) != c.failed || ok != (len(addrs) > 0) {
			t.Errorf("%s asks %s (%v, %v): %v %v %v", c.asker, c.name, c.leases, c.services, addrs, ok, err)
		}
	}
}
