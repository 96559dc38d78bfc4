package netns

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// CreateNetwork makes a network that belongs to no project and stays until
// RemoveNetwork.
func (h *Host) CreateNetwork(ctx context.Context, n Network) error {
	if err := errorsOf(ctx.Err(), n.check()); err != nil {
		return err
	}
	n.Project, n.External = "", false
	unlock, err := h.store.lock()
	if err != nil {
		return err
	}
	defer unlock()
	v, err := h.look()
	if err != nil {
		return err
	}
	records, err := h.records()
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Network.ID == n.ID || r.Network.Name == n.Name {
			return fmt.Errorf("network %s exists already and belongs to %s", n.Name, owner(r))
		}
	}
	r := record{Owners: []string{""}}
	if err := h.settle(&r, n, record{}, records, v); err != nil {
		return err
	}
	r.Network.Project = ""
	if err := h.store.create(r); err != nil {
		return err
	}
	if _, err = h.ensureBridge(r.Network, "", v); err != nil {
		return errorsOf(err, h.destroy(r.Network))
	}
	return nil
}

// RemoveNetwork removes a network by name or ID. It is refused (ErrInUse) while
// containers are attached or another project has it in its file.
func (h *Host) RemoveNetwork(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := h.store.lock()
	if err != nil {
		return err
	}
	defer unlock()
	n, err := h.Lookup(name)
	if err != nil {
		return err
	}
	err = h.store.entry(n.ID).update(func(st *state) error {
		if len(st.leases) > 0 {
			return fmt.Errorf("cannot remove network %s: %w by container %s of project %s",
				n.Name, ErrInUse, short(st.leases[0].Container), st.leases[0].Project)
		}
		for _, o := range st.record.Owners {
			if o != "" && o != h.o.Project {
				return fmt.Errorf("cannot remove network %s: %w by project %s", n.Name, ErrInUse, o)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.destroy(n)
}

// Lookup finds a network by name or ID; ErrNotFound when there is none.
func (h *Host) Lookup(name string) (Network, error) {
	records, err := h.records()
	if err != nil {
		return Network{}, err
	}
	for _, byID := range []bool{false, true} {
		for _, r := range records {
			if !byID && r.Network.Name == name || byID && r.Network.ID == name {
				return r.Network, nil
			}
		}
	}
	return Network{}, fmt.Errorf("%w: %s", ErrNotFound, name)
}

// List gives every network on the machine, by name.
func (h *Host) List() ([]Network, error) {
	records, err := h.records()
	if err != nil {
		return nil, err
	}
	var out []Network
	for _, r := range records {
		out = append(out, r.Network)
	}
	slices.SortFunc(out, func(a, b Network) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Leases gives all leases of a network, every project's. It reads the file only
// when it changed, so it may be asked for each DNS query.
func (h *Host) Leases(network string) ([]Lease, error) {
	_, leases, err := h.store.entry(network).view()
	return leases, err
}

// Lease gives a container's leases, one an interface.
func (h *Host) Lease(container string) ([]Lease, error) {
	leases, err := h.leases(func(l Lease) bool { return l.Container == container })
	slices.SortFunc(leases, func(a, b Lease) int { return strings.Compare(a.IfName, b.IfName) })
	return leases, err
}
