package netns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
	"github.com/vishvananda/netlink"
)

// Remove takes away everything of the project: its endpoints, ports, firewall
// table, the accepts in other people's tables, and the networks that no other
// project uses. It needs no record: what carries the project's name goes too.
// Reserved sockets are their holder's to close. Repeating it is fine.
func (h *Host) Remove(ctx context.Context) error {
	h.applying.Lock()
	defer h.applying.Unlock()
	unlock, err := h.store.lock()
	if err != nil {
		return err
	}
	defer unlock()
	errs := multierror.Append(nil, h.removeSurplus(ctx, nil), h.removeStray())
	rest, err := h.records()
	if err == nil {
		err = h.restoreForwarding(rest)
	}
	errs = multierror.Append(errs, err, h.removeRules())
	h.mu.Lock()
	h.applied, h.live = nil, map[string]int{}
	h.mu.Unlock()
	return errs.ErrorOrNil()
}

// removeRules runs last: until then the table protects what is still there.
func (h *Host) removeRules() error {
	err := h.setAccepts(nil, false)
	h.firewall.Lock()
	defer h.firewall.Unlock()
	there, err2 := h.table.exists()
	if err2 == nil && there {
		err2 = h.table.remove()
	}
	return errorsOf(err, err2)
}

// removeStray deletes links that carry the project's name, whose record was
// lost: endpoints at once, bridges unless another project's links are on them
// or their network is still recorded.
func (h *Host) removeStray() error {
	prefix := aliasPrefix(h.o.Project)
	links, err := h.link.LinkList()
	if err != nil {
		return fmt.Errorf("cannot list links: %w", err)
	}
	records, err := h.records()
	if err != nil {
		return err
	}
	var names []string
	for _, l := range links {
		a := l.Attrs()
		if !strings.HasPrefix(a.Alias, prefix) {
			continue
		}
		if l.Type() == "bridge" && (recorded(records, a.Name) || sharedBridge(links, a.Index, prefix)) {
			continue
		}
		names = append(names, a.Name)
	}
	return h.deleteLinks(names)
}

func recorded(records []record, bridge string) bool {
	return slices.ContainsFunc(records, func(r record) bool { return r.Network.Bridge == bridge })
}

func sharedBridge(links []netlink.Link, bridge int, prefix string) bool {
	return slices.ContainsFunc(links, func(l netlink.Link) bool {
		return l.Attrs().MasterIndex == bridge && !strings.HasPrefix(l.Attrs().Alias, prefix)
	})
}

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

// Observe compares the records with the kernel. Live maps the running
// containers to their first processes; Apply uses it to attach again what lost
// its link.
func (h *Host) Observe(ctx context.Context, live map[string]int) (Seen, error) {
	if err := ctx.Err(); err != nil {
		return Seen{}, err
	}
	h.mu.Lock()
	h.live = make(map[string]int, len(live))
	for c, pid := range live {
		h.live[c] = pid
	}
	h.mu.Unlock()
	v, err := h.look()
	if err != nil {
		return Seen{}, err
	}
	entries, err := h.store.list()
	if err != nil {
		return Seen{}, err
	}
	var s Seen
	for _, e := range entries {
		r, leases, err := e.view()
		if errors.Is(err, ErrNotFound) || err == nil && !slices.Contains(r.Owners, h.o.Project) {
			continue
		}
		if err != nil {
			return Seen{}, err
		}
		s.Networks = append(s.Networks, r.Network)
		s.Broken = append(s.Broken, brokenBridge(r.Network, v)...)
		for _, l := range leases {
			if l.Project == h.o.Project {
				s.Leases = append(s.Leases, l)
				s.Broken = append(s.Broken, brokenLink(l, r.Network, live, v)...)
			}
		}
	}
	if len(s.Networks) == 0 {
		return s, nil
	}
	broken, err := h.brokenTable()
	s.Broken = append(s.Broken, broken...)
	return s, err
}

func brokenBridge(n Network, v *kernelView) (out []string) {
	l, ok := v.byName[n.Bridge]
	if !ok {
		return []string{fmt.Sprintf("bridge %s of network %s is missing", n.Bridge, n.Name)}
	}
	if !upToDate(l.Attrs(), n, bridgeAlias(n.Project, n.ID)) {
		out = append(out, fmt.Sprintf("bridge %s of network %s is down or was altered", n.Bridge, n.Name))
	}
	for _, p := range n.Pools {
		if !slices.Contains(v.addrs[l.Attrs().Index], p.bridgeAddr()) {
			out = append(out, fmt.Sprintf("bridge %s of network %s lacks its address %v", n.Bridge, n.Name, p.bridgeAddr()))
		}
	}
	return out
}

func brokenLink(l Lease, n Network, live map[string]int, v *kernelView) []string {
	port, ok := v.byName[l.Link]
	switch {
	case live[l.Container] == 0:
		return nil // the caller knows what became of it, and calls Detach
	case !ok:
		return []string{fmt.Sprintf("link %s of container %s on network %s is missing", l.Link, short(l.Container), n.Name)}
	}
	if bridge, ok := v.byName[n.Bridge]; ok && port.Attrs().MasterIndex != bridge.Attrs().Index {
		return []string{fmt.Sprintf("link %s of container %s is not on the bridge of network %s", l.Link, short(l.Container), n.Name)}
	}
	return nil
}

// brokenTable compares the firewall with what was applied; a Host that has not
// applied anything only sees whether there is a table.
func (h *Host) brokenTable() ([]string, error) {
	h.firewall.Lock()
	defer h.firewall.Unlock()
	missing := []string{fmt.Sprintf("firewall table %s is missing or was altered", h.table.name)}
	want, ok, err := h.wantedFirewall()
	if err != nil {
		return nil, err
	}
	if !ok {
		there, err := h.table.exists()
		if err != nil || there {
			return nil, err
		}
		return missing, nil
	}
	now, err := h.generation()
	if err != nil {
		return nil, err
	}
	if h.table.elements == nil || h.table.generation != now {
		intact, err := h.table.read(want)
		if err != nil {
			return nil, err
		}
		if !intact {
			return missing, nil
		}
		h.table.generation = now
	}
	for _, s := range want.Sets {
		if remove, add := difference(h.table.elements[s.Name], s.Elements); len(remove)+len(add) > 0 {
			return missing, nil
		}
	}
	return nil, nil
}
