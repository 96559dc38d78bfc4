package netns

import (
	"context"
	"net/netip"
	"slices"

	"github.com/hashicorp/go-multierror"
)

// Balance brings up to date what changes when containers become ready or cease
// to be: where c's ports lead, and what the records say of services. Lead follows. It looks at nothing else, where Apply looks at
// everything, and does nothing before the first Apply of this Host. c.Networks is
// not read.
func (h *Host) Balance(ctx context.Context, c Config) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs *multierror.Error
	if errs = multierror.Append(errs, checkPorts(c.Ports)...); errs.ErrorOrNil() != nil {
		return errs
	}
	attached, err := h.attached()
	if err != nil {
		return err
	}
	h.mu.Lock()
	if h.applied == nil {
		h.mu.Unlock()
		return nil
	}
	a := *h.applied
	c.Networks, c.Endpoints = a.config.Networks, joinEndpoints(c.Endpoints, a.config.Endpoints, attached)
	a.config = c
	h.applied = &a
	h.mu.Unlock()
	if err := h.recordServices(c, a.networks); err != nil {
		return err
	}
	if err := h.localnet(c, a.networks); err != nil {
		return err
	}
	return h.syncFirewall()
}

// attached are the project's containers with a lease.
func (h *Host) attached() (map[string]bool, error) {
	out := make(map[string]bool)
	leases, err := h.leases(func(l Lease) bool { return l.Project == h.o.Project })
	for _, l := range leases {
		out[l.Container] = true
	}
	return out, err
}

// joinEndpoints adds to now those of before that it lacks and that are attached:
// Apply is to find that they are gone, and takes them out.
func joinEndpoints(now, before []Endpoint, attached map[string]bool) []Endpoint {
	known := make(map[[2]string]bool)
	for _, e := range now {
		known[[2]string{e.Container, e.IfName}] = true
	}
	out := slices.Clone(now)
	for _, e := range before {
		if attached[e.Container] && !known[[2]string{e.Container, e.IfName}] {
			out = append(out, e)
		}
	}
	return out
}

// resting are the addresses of containers that keep the clients they have.
func (h *Host) resting() map[netip.Addr]bool {
	h.mu.Lock()
	a := h.applied
	h.mu.Unlock()
	if a == nil {
		return nil
	}
	resting := make(map[string]bool)
	for _, p := range a.config.Ports {
		if p.Resting {
			resting[p.Container] = true
		}
	}
	if len(resting) == 0 {
		return nil
	}
	out := make(map[netip.Addr]bool)
	leases, err := h.leases(func(l Lease) bool { return resting[l.Container] })
	if err != nil {
		return nil // a UDP client of a container that rests moves on
	}
	for _, l := range leases {
		out[l.IPv4], out[l.IPv6] = true, true
	}
	return out
}
