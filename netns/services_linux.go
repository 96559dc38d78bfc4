package netns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// resident is a container in whose namespace stack keeps a table. The container's
// lock (Host.changing) guards it.
type resident struct {
	process
	networks []string // IDs
	udp, tcp uint16   // the resolver's ports
	routed   []netip.Addr
	// has is what the table was made from; nil until it was written.
	has *snapshot
	// table's socket stays open: to close it soon after a change would wait for
	// the kernel's readers, some 10 ms.
	table *table
	ports *ports // where the table's socket is noted
}

// snapshot is what the records of networks say that their containers' tables have
// in common.
type snapshot struct {
	version string
	paths
	sets []set
}

// Services gives the services on a network, every project's. Like Leases it may be
// asked for each DNS query.
func (h *Host) Services(network string) ([]ServiceLease, error) {
	_, services, _, err := h.store.entry(network).served()
	return slices.Clone(services), err
}

// recordServices makes the networks' records of the project's services what c says.
func (h *Host) recordServices(c Config, networks []Network) error {
	wanted := make(map[string][]Service)
	for _, s := range c.Services {
		wanted[s.Network] = append(wanted[s.Network], s)
	}
	var errs *multierror.Error
	for _, n := range networks {
		err := h.store.entry(n.ID).update(func(st *state) error {
			st.serve(h.o.Project, wanted[n.ID])
			return nil
		})
		errs = multierror.Append(errs, err)
	}
	return errs.ErrorOrNil()
}

// settleIn notes that a container lives in a namespace, with leases.
func (h *Host) settleIn(container string, p process, leases []Lease) *resident {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live[container] = p
	r := h.residents[container]
	if r == nil || r.process != p {
		if r != nil {
			go r.Close()
		}
		r = &resident{process: p, ports: &h.insiders}
		h.residents[container] = r
	}
	r.networks, r.routed = nil, nil
	for _, l := range leases {
		r.networks = append(r.networks, l.Network)
		for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
			if l.Routed && a.IsValid() {
				r.routed = append(r.routed, a)
			}
		}
	}
	return r
}

// Lead brings the tables inside the project's containers up to date with the
// services on their networks, as this and other stacks recorded them.
func (h *Host) Lead(ctx context.Context) error { return h.followAll(ctx, false) }

// followAll brings the tables inside the project's containers up to date with the
// services on their networks; with verify also those that were changed by hand.
func (h *Host) followAll(ctx context.Context, verify bool) error {
	h.mu.Lock()
	containers := make([]string, 0, len(h.residents))
	for c := range h.residents {
		containers = append(containers, c)
	}
	h.mu.Unlock()
	var errs *multierror.Error
	for _, c := range containers {
		if err := ctx.Err(); err != nil {
			return err
		}
		errs = multierror.Append(errs, h.followOne(c, verify))
	}
	return errs.ErrorOrNil()
}

func (h *Host) followOne(container string, verify bool) error {
	defer h.changing.lock(container)()
	h.mu.Lock()
	r := h.residents[container]
	h.mu.Unlock()
	if r == nil || r.udp == 0 { // or the table would lack the resolver, until ListenDNS
		return nil
	}
	now, err := h.snapshot(r.networks)
	if err != nil || r.has == now && !verify {
		return err
	}
	if h.gone(r) {
		h.forgetDead([]string{container})
		return nil
	}
	left, err := h.follow(r, now, verify)
	if err == nil && len(left) > 0 {
		err = h.inside(r, func() error { return forgetBackends(left) })
	}
	if err != nil && !h.gone(r) {
		return fmt.Errorf("cannot lead container %s to services: %w", short(container), err)
	}
	return nil
}

// follow makes a resident's table what is recorded now, and tells which backends
// left it. With verify it trusts nothing that was written before.
func (h *Host) follow(r *resident, now *snapshot, verify bool) (left map[string]bool, err error) {
	switch {
	case r.table == nil || r.has == nil:
		return nil, h.inside(r, func() error { return r.begin(now) })
	case verify, !slices.Equal(r.has.Pools, now.Pools): // rules change as well
		left = leftBackends(r.has.sets, now.sets)
		return left, r.mend(now)
	}
	s := h.shift(r.has, now)
	if _, err := r.table.change(s.change); err != nil {
		return s.left, r.mend(now) // somebody changed it
	}
	r.has = now
	return s.left, nil
}

// inside runs do in the resident's namespace.
func (h *Host) inside(r *resident, do func() error) error {
	s, err := h.openContainer(r.pid)
	if err != nil {
		return err
	}
	defer s.Close()
	return h.run(s, do)
}

// shift is how tables go from one snapshot to another; the containers of a network
// all go the same way.
type shift struct {
	from, to *snapshot
	change
	left map[string]bool
}

func (h *Host) shift(from, to *snapshot) *shift {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.lastShift; s != nil && s.from == from && s.to == to {
		return s
	}
	elements := elementsOf(ruleset{Sets: from.sets})
	h.lastShift = &shift{from, to, changeOf(elements, to.sets), leftBackends(from.sets, to.sets)}
	return h.lastShift
}

// snapshot reads the records of networks; the same ones give the same pointer.
func (h *Host) snapshot(networks []string) (*snapshot, error) {
	s := &snapshot{}
	for _, id := range networks {
		n, services, version, err := h.store.entry(id).served()
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s.Pools = append(s.Pools, n.ServicePools...)
		s.Services = append(s.Services, services...)
		s.version += version
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.snapshots[s.version]; known != nil {
		return known, nil
	}
	if len(h.snapshots) > maxSnapshots {
		clear(h.snapshots)
	}
	s.sets = s.paths.sets()
	h.snapshots[s.version] = s
	return s, nil
}

// maxSnapshots bounds what is remembered of the past; a stack has a few sets of
// networks.
const maxSnapshots = 16

// gone reports whether a container's namespace is not its process's any more.
func (h *Host) gone(r *resident) bool {
	var st unix.Stat_t
	return unix.Stat(fmt.Sprintf("/proc/%d/ns/net", r.pid), &st) != nil || st.Ino != r.netns
}

// brokenInside looks at the tables inside the containers that this Host wrote.
func (h *Host) brokenInside(live map[string]int) (out []Fault) {
	h.mu.Lock()
	told := h.news != nil
	h.mu.Unlock()
	if told && !h.doubtInside.Swap(false) {
		return nil
	}
	for _, container := range slices.Sorted(maps.Keys(live)) {
		if broken, err := h.looksBroken(container); err == nil && broken {
			text := fmt.Sprintf("table inside container %s is missing or was altered", short(container))
			out = append(out, Fault{Container: container, Text: text})
		}
	}
	return out
}

func (h *Host) looksBroken(container string) (broken bool, err error) {
	defer h.changing.lock(container)()
	h.mu.Lock()
	r := h.residents[container]
	h.mu.Unlock()
	if r == nil || r.has == nil || h.gone(r) {
		return false, nil
	}
	intact, err := r.table.read(r.rules(r.has))
	return !intact || !changeOf(r.table.elements, r.has.sets).empty(), err
}

// forgetDead drops containers whose namespace is gone.
func (h *Host) forgetDead(containers []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range containers {
		if r := h.residents[c]; r != nil && h.gone(r) {
			go r.Close()
			delete(h.residents, c)
		}
	}
}

func (r *resident) rules(s *snapshot) ruleset { return inside{r.udp, r.tcp, r.routed, s.paths}.rules() }

// begin makes the table in the calling thread's namespace, where there is none most
// likely: looking first would cost as much again.
func (r *resident) begin(now *snapshot) (err error) {
	if r.table == nil {
		if r.table, err = openTable(0, insideTable); err != nil {
			return err
		}
		r.ports.add(r.table.port, 1)
	}
	err = r.table.write(r.rules(now), false)
	if errors.Is(err, unix.EEXIST) {
		return r.mend(now)
	}
	if err == nil {
		r.has = now
	}
	return err
}

// mend reads the table and makes right what is not.
func (r *resident) mend(now *snapshot) error {
	r.has = nil
	want := r.rules(now)
	intact, err := r.table.read(want)
	switch {
	case err != nil:
		return err
	case intact:
		_, err = r.table.update(want)
	default:
		err = r.table.install(want)
	}
	if err == nil {
		r.has = now
	}
	return err
}

func (r *resident) Close() error {
	if r.table == nil {
		return nil
	}
	r.ports.add(r.table.port, -1)
	return r.table.Close()
}

// leftBackends are those that a change of the maps leaves out.
func leftBackends(before, after []set) map[string]bool {
	left := make(map[string]bool)
	for i, all := range [][]set{before, after} {
		for _, s := range all {
			for _, e := range s.Elements {
				if !s.numbered() {
					break
				}
				if left[e.Data[0]] = true; i == 1 {
					delete(left, e.Data[0])
				}
			}
		}
	}
	return left
}

// forgetBackends deletes, in the calling thread's namespace, the flows to backends
// that left, but for TCP: a client of UDP or ping goes on with another one.
func forgetBackends(gone map[string]bool) error {
	if count, err := readSysctl("net/netfilter/nf_conntrack_count"); err == nil && count == "0" {
		return nil
	}
	handle, err := netlink.NewHandleAt(vnetns.None(), unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("cannot open a netlink socket: %w", err)
	}
	defer handle.Close()
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		_, err := handle.ConntrackDeleteFilters(netlink.ConntrackTable, family, staleBackends(gone))
		if err != nil && !isGone(err) && !errors.Is(err, netlink.ErrDumpInterrupted) && family == unix.AF_INET {
			return fmt.Errorf("cannot delete stale connection tracking entries: %w", err)
		}
	}
	return nil
}

// staleBackends selects translated flows to the addresses, but for TCP.
type staleBackends map[string]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (s staleBackends) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	return f.Forward.Protocol != unix.IPPROTO_TCP && s[f.Reverse.SrcIP.String()] && !f.Forward.DstIP.Equal(f.Reverse.SrcIP)
}
