package netns

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// applied is the outcome of the last Apply.
type applied struct {
	config   Config
	networks []Network // with bridges and subnets filled in
	foreign  foreign
}

// Apply makes the machine's network what c says for the project: missing parts
// are made, altered ones repaired, and what an earlier Config of the project
// had in addition is removed. Applying twice is applying once.
//
// Containers are attached by Attach, when they are created. Apply attaches
// those that lost their link, or that joined a network since, if their process
// is known from Attach or Observe. A port is in force as soon as its container
// is attached.
func (h *Host) Apply(ctx context.Context, c Config) error {
	if h.o.Project == "" {
		return errors.New("cannot apply a network configuration without a project")
	}
	if err := c.check(); err != nil {
		return err
	}
	h.applying.Lock()
	defer h.applying.Unlock()
	if err := h.removeEndpoints(ctx, c); err != nil {
		return err
	}
	networks, err := h.applyMachine(ctx, c)
	if err != nil {
		return err
	}
	if err := h.repair(ctx, c, networks); err != nil {
		return err
	}
	return errorsOf(h.watch(networks), h.followAll(ctx, true))
}

// applyMachine does what needs the machine-wide lock.
func (h *Host) applyMachine(ctx context.Context, c Config) ([]Network, error) {
	unlock, err := h.store.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := h.removeSurplus(ctx, c.Networks); err != nil {
		return nil, err
	}
	v, err := h.look()
	if err == nil {
		v, err = h.restoreNames(v)
	}
	if err != nil {
		return nil, err
	}
	networks, err := h.applyNetworks(c.Networks, v)
	if err != nil {
		return nil, err
	}
	h.holdStatic(c)
	m, err := h.planForwarding(networks, v)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.applied = &applied{config: c, networks: networks, foreign: h.foreign(m, v)}
	h.mu.Unlock()
	if err := h.applyFirewall(); err != nil {
		return nil, err
	}
	if err := errorsOf(h.localnet(c, networks), h.recordServices(c, networks)); err != nil {
		return nil, err
	}
	rest, err := h.records()
	if err != nil {
		return nil, err
	}
	return networks, errorsOf(h.enableForwarding(m), h.restoreForwarding(rest))
}

// applyFirewall installs the project's table, then the accepts that it needs in
// the tables of others.
func (h *Host) applyFirewall() error {
	if err := h.syncFirewall(); err != nil {
		return err
	}
	return h.ensureAccepts()
}

// records are the networks on the machine.
func (h *Host) records() ([]record, error) {
	entries, err := h.store.list()
	if err != nil {
		return nil, err
	}
	var out []record
	for _, e := range entries {
		r, _, err := e.view()
		if errors.Is(err, ErrNotFound) {
			continue // being made or removed, or cut short by a crash
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// applyNetworks records and makes the networks, all or as many as can be.
func (h *Host) applyNetworks(wanted []Network, v *kernelView) ([]Network, error) {
	records, err := h.records()
	if err != nil {
		return nil, err
	}
	var out []Network
	var errs *multierror.Error
	for _, n := range wanted {
		made, err := h.applyNetwork(n, records, v)
		if err != nil {
			errs = multierror.Append(errs, err)
			continue
		}
		out = append(out, made.Network)
		records = append(slices.DeleteFunc(records, func(r record) bool { return r.Network.ID == n.ID }), made)
	}
	return out, errs.ErrorOrNil()
}

func (h *Host) applyNetwork(n Network, records []record, v *kernelView) (record, error) {
	i := slices.IndexFunc(records, func(r record) bool { return r.Network.ID == n.ID })
	var old record
	if i >= 0 {
		old = records[i]
	}
	r := old
	r.Owners = slices.Clone(old.Owners)
	if n.External {
		if i < 0 {
			return record{}, fmt.Errorf("%w: %s (external networks are not made by `up`)", ErrNotFound, n.Name)
		}
	} else if err := h.settle(&r, n, old, records, v); err != nil {
		return record{}, err
	}
	r.addOwner(h.o.Project)
	if err := h.save(r, old, i < 0); err != nil {
		return record{}, err
	}
	_, err := h.ensureBridge(r.Network, h.o.Project, v)
	return r, err
}

// settle decides what a network of the project's own is to be.
func (h *Host) settle(r *record, n Network, old record, records []record, v *kernelView) error {
	if n.Project == "" {
		n.Project = h.o.Project
	}
	if n.Bridge == "" {
		n.Bridge = BridgeName(n.ID)
	}
	if n.MTU == 0 {
		n.MTU = h.defaultMTU(v)
	}
	if _, v6 := split(n.Pools); len(v6) > 0 {
		n.IPv6 = true
	}
	if n.IPv6 && !h.ipv6 {
		return fmt.Errorf("network %s: IPv6 is not available on this machine", n.Name)
	}
	others := slices.DeleteFunc(slices.Clone(records), func(r record) bool { return r.Network.ID == n.ID })
	for _, o := range others {
		if o.Network.Name == n.Name {
			return fmt.Errorf("network %s exists already and belongs to %s; declare it external to share it", n.Name, owner(o))
		}
		if o.Network.Bridge == n.Bridge {
			return fmt.Errorf("bridge %q of network %s is that of network %s", n.Bridge, n.Name, o.Network.Name)
		}
	}
	if err := n.clash(others, v.hostAddresses(n.Bridge)); err != nil {
		return err
	}
	taken, err := h.takenSubnets(others, v)
	if err != nil {
		return err
	}
	pools, replaced, err := n.settle(old.Network, taken)
	if err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	n.Pools = pools
	if n.ServicePools, err = n.settleServices(old.Network.ServicePools, taken); err != nil {
		return fmt.Errorf("network %s: %w", n.Name, err)
	}
	r.Network = n
	if replaced {
		return h.dropLeases(n)
	}
	return nil
}

func owner(r record) string {
	if r.Network.Project == "" {
		return "no project"
	}
	return "project " + r.Network.Project
}

// hostAddresses are the subnets that the host itself is on, but for a bridge.
func (v *kernelView) hostAddresses(except string) (out []hostSubnet) {
	for name, l := range v.byName {
		if name == except {
			continue
		}
		for _, a := range v.addrs[l.Attrs().Index] {
			out = append(out, hostSubnet{a.Masked(), name})
		}
	}
	slices.SortFunc(out, func(a, b hostSubnet) int { return cmp.Or(strings.Compare(a.link, b.link), a.Addr().Compare(b.Addr())) })
	return out
}

// save writes a record that changed.
func (h *Host) save(r, old record, isNew bool) error {
	if isNew {
		return h.store.create(r)
	}
	a, err1 := json.Marshal(r)
	b, err2 := json.Marshal(old)
	if err := errorsOf(err1, err2); err != nil {
		return fmt.Errorf("cannot encode network %s: %w", r.Network.Name, err)
	}
	if string(a) == string(b) {
		return nil
	}
	return h.store.entry(r.Network.ID).update(func(st *state) error {
		st.record, st.recordChanged = r, true
		return nil
	})
}

// holdStatic keeps the file's static addresses for their containers.
func (h *Host) holdStatic(c Config) {
	held := make(map[string]map[netip.Addr]string)
	for _, n := range c.Networks {
		held[n.ID] = make(map[netip.Addr]string)
	}
	for _, e := range c.Endpoints {
		for _, a := range []netip.Addr{e.IPv4, e.IPv6} {
			if a.IsValid() {
				held[e.Network][a] = e.Container
			}
		}
	}
	for id, static := range held {
		h.store.entry(id).hold(static)
	}
}

// localnet sets route_localnet where a port is published on the host's loopback.
func (h *Host) localnet(c Config, networks []Network) error {
	published := make(map[string]bool)
	for _, p := range c.Ports {
		if host := p.HostIP.Unmap(); p.wildcard() || host.Is4() && (host.IsLoopback() || host.IsUnspecified()) {
			published[p.Container] = true
		}
	}
	needed := make(map[string]bool)
	for _, e := range c.Endpoints {
		needed[e.Network] = needed[e.Network] || published[e.Container]
	}
	var errs *multierror.Error
	for _, n := range networks {
		r, _, err := h.store.entry(n.ID).view()
		if err == nil {
			err = h.ensureRouteLocalnet(n, needed[n.ID] && !n.Internal, len(r.Owners) == 1)
		}
		errs = multierror.Append(errs, err)
	}
	return errs.ErrorOrNil()
}

// syncFirewall brings the project's table up to date with what was applied and
// with the leases there are now.
func (h *Host) syncFirewall() error {
	h.firewall.Lock()
	defer h.firewall.Unlock()
	want, ok, err := h.wantedFirewall()
	if err != nil || !ok {
		return err
	}
	before := h.table.elements
	changed, err := h.table.sync(want, h.generation)
	if err != nil {
		return err
	}
	if changed {
		return h.forgetFlows(staleAfter(before, elementsOf(want), h.resting()))
	}
	return nil
}

// wantedFirewall computes the table; not ok before the first Apply.
func (h *Host) wantedFirewall() (r ruleset, ok bool, err error) {
	h.mu.Lock()
	a := h.applied
	h.mu.Unlock()
	if a == nil {
		return ruleset{}, false, nil
	}
	leases, err := h.leases(func(l Lease) bool { return l.Project == h.o.Project })
	if err != nil {
		return ruleset{}, false, err
	}
	targets := portTargets(a.networks, a.config.Endpoints, leases)
	return firewall(h.o.Project, a.networks, a.config.Ports, targets, a.foreign), true, nil
}

// leases finds leases on every network.
func (h *Host) leases(which func(Lease) bool) ([]Lease, error) {
	entries, err := h.store.list()
	if err != nil {
		return nil, err
	}
	var out []Lease
	for _, e := range entries {
		_, all, err := e.view()
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		for _, l := range all {
			if which(l) {
				out = append(out, l)
			}
		}
	}
	return out, nil
}
