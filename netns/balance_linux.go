package netns

import (
	"context"
	"net/netip"

	"github.com/hashicorp/go-multierror"
)

// Balance changes which containers published ports lead to, and nothing else of
// what was applied: a transaction where Apply looks at everything. Before the
// first Apply of this Host it does nothing.
func (h *Host) Balance(ctx context.Context, ports []Port) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs *multierror.Error
	if errs = multierror.Append(errs, checkPorts(ports)...); errs.ErrorOrNil() != nil {
		return errs
	}
	h.mu.Lock()
	if h.applied == nil {
		h.mu.Unlock()
		return nil
	}
	a := *h.applied
	a.config.Ports = ports
	h.applied = &a
	h.mu.Unlock()
	if err := h.localnet(a.config, a.networks); err != nil {
		return err
	}
	return h.syncFirewall()
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
