package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// repair makes right what the kernel lost of the networks' leases.
func (h *Host) repair(ctx context.Context, c Config, networks []Network) error {
	v, err := h.look()
	if err != nil {
		return err
	}
	var errs *multierror.Error
	linked := make(map[[2]string]bool)
	for _, n := range networks {
		_, leases, err := h.store.entry(n.ID).view()
		if err != nil {
			errs = multierror.Append(errs, err)
			continue
		}
		for _, l := range leases {
			_, there := v.byName[l.Link]
			linked[[2]string{l.Container, l.IfName}] = there
		}
		errs = multierror.Append(errs, h.repairRoutes(n, v), h.repairPorts(n, leases, v), h.repairShapers(n, c.Endpoints, leases, v))
	}
	lost := make(map[string][]Endpoint)
	for _, e := range c.Endpoints {
		if !linked[[2]string{e.Container, e.IfName}] {
			lost[e.Container] = append(lost[e.Container], e)
		}
	}
	for container, eps := range lost {
		if err := ctx.Err(); err != nil {
			return err
		}
		errs = multierror.Append(errs, h.reattach(container, eps))
	}
	return errs.ErrorOrNil()
}

// repairPorts puts links back on their bridge and enters lost neighbours.
func (h *Host) repairPorts(n Network, leases []Lease, v *kernelView) error {
	bridge, ok := v.byName[n.Bridge]
	if !ok {
		return fmt.Errorf("cannot find bridge %q of network %s", n.Bridge, n.Name)
	}
	index := bridge.Attrs().Index
	mode := portMode{n.Isolated, h.readHairpin()}
	var batch []request
	for _, l := range leases {
		mac, err := net.ParseMAC(l.MAC)
		if err != nil {
			return fmt.Errorf("bad MAC address in lease of %s: %w", short(l.Container), err)
		}
		for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
			if a.IsValid() && v.neighbours[index][a] != l.MAC {
				batch = append(batch, neighbours("neighbour of "+n.Bridge, index, mac, a)...)
			}
		}
		port, ok := v.byName[l.Link]
		if !ok {
			continue
		}
		right := v.portIsRight(port, index, mode)
		if !right {
			batch = append(batch, append(rejoin(l.Link, index, mode), station(l.Link, port.Attrs().Index, mac))...)
		}
		if !right || !isUp(port) || !isUp(bridge) {
			batch = append(batch, settle(l.Link), settle(n.Bridge))
		}
	}
	return h.do(batch...)
}

func (v *kernelView) portIsRight(port netlink.Link, bridge int, mode portMode) bool {
	a := port.Attrs()
	return a.MasterIndex == bridge && a.Flags&net.FlagUp != 0 && v.ports[a.Index] == mode
}

func isUp(l netlink.Link) bool { return l.Attrs().OperState == netlink.OperUp }

// rejoin puts a link back on its bridge.
func rejoin(name string, bridge int, mode portMode) []request {
	r := newRequest("put link "+name+" on its bridge", unix.RTM_NEWLINK, 0, unix.ENODEV)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Flags, msg.Change = unix.IFF_UP, unix.IFF_UP
	r.AddData(msg)
	r.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	r.attr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge)))
	m := newRequest("set the mode of port "+name, unix.RTM_NEWLINK, 0, unix.ENODEV)
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	m.AddData(mode.attr()) // only what is on a bridge already takes it
	return []request{r, m}
}

// reattach makes a live container's missing links. A process that is not known,
// or is gone, or has another network namespace now, is left to Attach.
func (h *Host) reattach(container string, eps []Endpoint) error {
	defer h.changing.lock(container)()
	h.mu.Lock()
	p := h.live[container]
	h.mu.Unlock()
	if p.pid == 0 {
		return nil
	}
	s, err := h.openContainer(p.pid)
	if err != nil {
		return nil // dead since
	}
	defer s.Close()
	if s.id != p.netns {
		return nil // another process has the pid
	}
	leases, err := h.leases(func(l Lease) bool { return l.Container == container })
	if err != nil {
		return err
	}
	if slices.ContainsFunc(leases, func(l Lease) bool { return l.NetNS != 0 && l.NetNS != s.id }) {
		return nil
	}
	eps = slices.DeleteFunc(eps, func(e Endpoint) bool {
		_, err := h.link.LinkByName(linkName(e.Container, e.IfName))
		return err == nil && slices.ContainsFunc(leases, func(l Lease) bool { return l.IfName == e.IfName && l.fits(e) })
	})
	if len(eps) == 0 {
		return nil
	}
	if _, err := h.attach(s, eps); err != nil {
		return fmt.Errorf("cannot attach container %s again: %w", short(container), err)
	}
	h.settled(container, p) // on more networks, perhaps
	return h.publish(container)
}

// removeEndpoints takes out what the last Apply had and c has not.
func (h *Host) removeEndpoints(ctx context.Context, c Config) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.mu.Lock()
	a := h.applied
	h.mu.Unlock()
	if a == nil {
		return nil
	}
	type key struct{ container, network, ifName string }
	gone := make(map[key]bool)
	for _, e := range a.config.Endpoints {
		gone[key{e.Container, e.Network, e.IfName}] = true
	}
	for _, e := range c.Endpoints {
		delete(gone, key{e.Container, e.Network, e.IfName})
	}
	if len(gone) == 0 {
		return nil
	}
	leases, err := h.leases(func(l Lease) bool {
		return l.Project == h.o.Project && gone[key{l.Container, l.Network, l.IfName}]
	})
	if err != nil {
		return err
	}
	return h.unplug(leases)
}

// removeSurplus gives up the project's networks that are not wanted any more.
// The machine-wide lock is held.
func (h *Host) removeSurplus(ctx context.Context, wanted []Network) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	records, err := h.records()
	if err != nil {
		return err
	}
	var errs *multierror.Error
	for _, r := range records {
		keep := slices.ContainsFunc(wanted, func(n Network) bool { return n.ID == r.Network.ID })
		if !keep && (slices.Contains(r.Owners, h.o.Project) || h.hasLeases(r.Network.ID)) {
			errs = multierror.Append(errs, h.leave(r))
		}
	}
	return errs.ErrorOrNil()
}

func (h *Host) hasLeases(id string) bool {
	_, leases, err := h.store.entry(id).view()
	return err == nil && slices.ContainsFunc(leases, func(l Lease) bool { return l.Project == h.o.Project })
}

// leave takes the project's endpoints off a network, and removes the network
// with its last owner. The machine-wide lock is held.
func (h *Host) leave(r record) error {
	e := h.store.entry(r.Network.ID)
	if err := h.deleteAlone(r); err != nil {
		return err
	}
	if err := h.dropLeases(r.Network); err != nil && !errors.Is(err, ErrInUse) {
		return err
	}
	h.unwatch(r.Network.ID)
	last := false
	err := e.update(func(st *state) error {
		last = st.leave(h.o.Project)
		return nil
	})
	if errors.Is(err, ErrNotFound) || err == nil && !last {
		return nil
	}
	if err != nil {
		return err
	}
	return h.destroy(r.Network)
}

// leave takes a project, whose leases are dropped, off the record. The last owner stays
// in it until the network is destroyed: if a crash comes before, it is still somebody's
// to remove.
func (st *state) leave(project string) (last bool) {
	st.serve(project, nil)
	if len(st.leases) == 0 && !slices.ContainsFunc(st.record.Owners, func(o string) bool { return o != project }) {
		return true
	}
	st.recordChanged = st.record.dropOwner(project)
	return false
}

// deleteAlone deletes the bridge of a network that is nobody else's together with
// the links on it, because each deletion costs some 25 ms however many links it is
// for. What leave does then is done to records only.
func (h *Host) deleteAlone(r record) error {
	_, leases, err := h.store.entry(r.Network.ID).view()
	mine := func(l Lease) bool { return l.Project == h.o.Project }
	if err != nil || len(leases) == 0 || !slices.Equal(r.Owners, []string{h.o.Project}) || !all(leases, mine) {
		return nil
	}
	if err := h.unpublish(leases); err != nil {
		return err
	}
	names := []string{r.Network.Bridge}
	for _, l := range leases {
		names = append(names, l.Link)
	}
	h.mu.Lock()
	delete(h.bridges, r.Network.ID)
	h.mu.Unlock()
	if err := h.deleteLinks(names); err != nil {
		return fmt.Errorf("cannot delete bridge of network %s: %w", r.Network.Name, err)
	}
	return nil
}

func all(leases []Lease, is func(Lease) bool) bool {
	return !slices.ContainsFunc(leases, func(l Lease) bool { return !is(l) })
}

// destroy deletes a network's bridge, then its record.
func (h *Host) destroy(n Network) error {
	h.mu.Lock()
	delete(h.bridges, n.ID)
	h.mu.Unlock()
	if err := h.do(deleteLink(n.Bridge), deleteLink(shaperName(n.ID, ingress)), deleteLink(shaperName(n.ID, egress))); err != nil {
		return fmt.Errorf("cannot delete bridge of network %s: %w", n.Name, err)
	}
	return h.store.entry(n.ID).remove()
}

// dropLeases unplugs the project's endpoints; ErrInUse when there are others'.
func (h *Host) dropLeases(n Network) error {
	_, leases, err := h.store.entry(n.ID).view()
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	mine := slices.DeleteFunc(slices.Clone(leases), func(l Lease) bool { return l.Project != h.o.Project })
	if err := h.unplug(mine); err != nil {
		return err
	}
	if len(mine) < len(leases) {
		return fmt.Errorf("cannot change network %s: %w by containers of project %s", n.Name, ErrInUse, others(leases, h.o.Project))
	}
	return nil
}

func others(leases []Lease, project string) string {
	for _, l := range leases {
		if l.Project != project {
			return l.Project
		}
	}
	return ""
}
