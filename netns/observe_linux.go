package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Observe compares the records with the kernel. Live maps the running
// containers to their first processes; Apply uses it to attach again what lost
// its link.
func (h *Host) Observe(ctx context.Context, live map[string]int) (Seen, error) {
	if err := ctx.Err(); err != nil {
		return Seen{}, err
	}
	h.applying.Lock() // half of an Apply is no fault
	defer h.applying.Unlock()
	h.noteLive(live)
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
		faults, err := h.brokenRoutes(r.Network, v)
		if err != nil {
			return Seen{}, err
		}
		s.Broken = append(s.Broken, faults...)
		own := slices.DeleteFunc(slices.Clone(leases), func(l Lease) bool { return live[l.Container] == 0 })
		faults, err = h.brokenShapers(r.Network, own, v)
		if err != nil {
			return Seen{}, err
		}
		s.Broken = append(s.Broken, faults...)
		for _, l := range leases {
			if l.Project == h.o.Project {
				s.Leases = append(s.Leases, l)
				s.Broken = append(s.Broken, h.brokenLink(l, r.Network, live, v)...)
			}
		}
	}
	if len(s.Networks) == 0 {
		return s, nil
	}
	s.Broken = append(s.Broken, h.brokenForwarding(s.Networks)...)
	broken, err := h.brokenTable()
	s.Broken = append(append(s.Broken, broken...), h.brokenInside(live)...)
	if err != nil {
		return s, err
	}
	broken, err = h.brokenAccepts()
	s.Broken = slices.DeleteFunc(append(s.Broken, broken...), func(f Fault) bool { return h.ended(f.Container) })
	return s, err
}

// ended reports whether a container that Observe was told of has ended since: its
// links go with it.
func (h *Host) ended(container string) bool {
	h.mu.Lock()
	p, known := h.live[container]
	h.mu.Unlock()
	if container == "" {
		return false
	}
	id, ok := p.namespace()
	return !known || !ok || id != p.netns
}

// namespace is the network namespace that a process is in, while it lives.
func (p process) namespace() (id uint64, ok bool) {
	var st unix.Stat_t
	err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", p.pid), &st)
	return st.Ino, err == nil
}

// noteLive remembers the running containers with their network namespaces.
func (h *Host) noteLive(live map[string]int) {
	seen := make(map[string]process, len(live))
	for c, pid := range live {
		if id, ok := (process{pid: pid}).namespace(); ok {
			seen[c] = process{pid, id}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = seen
}

func brokenBridge(n Network, v *kernelView) (out []Fault) {
	fault := func(format string, a ...any) {
		text := fmt.Sprintf("bridge %s of network %s ", n.Bridge, n.Name) + fmt.Sprintf(format, a...)
		out = append(out, Fault{Network: n.Name, Text: text})
	}
	l, ok := v.byName[n.Bridge]
	if !ok {
		fault("is missing")
		return out
	}
	if !upToDate(l.Attrs(), n, bridgeAlias(n.Project, n.ID)) {
		fault("is down or was altered")
	}
	for _, p := range n.Pools {
		if !slices.Contains(v.addrs[l.Attrs().Index], p.bridgeAddr()) {
			fault("lacks its address %v", p.bridgeAddr())
		}
	}
	return out
}

func (h *Host) brokenLink(l Lease, n Network, live map[string]int, v *kernelView) (out []Fault) {
	if live[l.Container] == 0 {
		return nil // the caller knows what became of it, and calls Detach
	}
	fault := func(format string, a ...any) {
		text := fmt.Sprintf("link %s of container %s ", l.Link, short(l.Container)) + fmt.Sprintf(format, a...)
		out = append(out, Fault{Network: n.Name, Container: l.Container, Text: text})
	}
	port, ok := v.byName[l.Link]
	if !ok {
		fault("on network %s is missing", n.Name)
		return out
	}
	bridge, ok := v.byName[n.Bridge]
	if !ok {
		return nil
	}
	index := bridge.Attrs().Index
	h.mu.Lock()
	mode := portMode{n.Isolated, h.hairpin}
	h.mu.Unlock()
	switch {
	case port.Attrs().MasterIndex != index:
		fault("is not on the bridge of network %s", n.Name)
	case !v.portIsRight(port, index, mode):
		fault("on network %s is down or was altered", n.Name)
	}
	for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
		if a.IsValid() && v.neighbours[index][a] != l.MAC {
			fault("is not known as %v on network %s", a, n.Name)
		}
	}
	return out
}

// brokenTable compares the firewall with what was applied; a Host that has not
// applied anything only sees whether there is a table.
func (h *Host) brokenTable() ([]Fault, error) {
	h.firewall.Lock()
	defer h.firewall.Unlock()
	missing := []Fault{{Text: fmt.Sprintf("firewall table %s is missing or was altered", h.table.name)}}
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
	// What is wanted may be about to be written; what was written must be there.
	should := h.table.written
	if should == nil {
		should = elementsOf(want)
	}
	for _, s := range want.Sets {
		if remove, add := difference(h.table.elements[s.Name], should[s.Name]); len(remove)+len(add) > 0 {
			return missing, nil
		}
	}
	return nil, nil
}
