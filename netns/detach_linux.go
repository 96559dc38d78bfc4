package netns

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Detach removes containers' links, leases and ports. Containers that are not
// attached are fine. One call with many containers, or many calls at once, cost
// hardly more than one.
func (h *Host) Detach(ctx context.Context, containers ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	containers = slices.Sorted(slices.Values(containers)) // so that two calls don't wait for each other
	for _, c := range slices.Compact(containers) {
		defer h.changing.lock(c)()
	}
	return h.detach(containers...)
}

// detach does it; the containers' locks are held.
func (h *Host) detach(containers ...string) error {
	mine := func(l Lease) bool {
		return l.Project == h.o.Project && slices.Contains(containers, l.Container)
	}
	leases, err := h.leases(mine)
	if err != nil {
		return err
	}
	if err := h.unplug(leases); err != nil {
		return fmt.Errorf("cannot detach: %w", err)
	}
	h.mu.Lock()
	for _, c := range containers {
		delete(h.live, c)
	}
	h.mu.Unlock()
	h.forgetDead(containers)
	// Links whose record was lost are known by their alias.
	lost := slices.DeleteFunc(slices.Clone(containers), func(c string) bool {
		return slices.ContainsFunc(leases, func(l Lease) bool { return l.Container == c })
	})
	if len(lost) == 0 {
		return nil
	}
	names, err := h.linksBy(func(alias string) bool {
		return slices.ContainsFunc(lost, func(c string) bool {
			return strings.HasPrefix(alias, aliasPrefix(h.o.Project)+c+" ")
		})
	})
	if err != nil {
		return err
	}
	return h.deleteLinks(names)
}

// linksBy finds links by alias.
func (h *Host) linksBy(match func(alias string) bool) (names []string, err error) {
	links, err := dumped(h, h.link.LinkList)
	if err != nil {
		return nil, fmt.Errorf("cannot list links: %w", err)
	}
	for _, l := range links {
		if match(l.Attrs().Alias) {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// unplug takes leased endpoints out: first no port leads to them, then the link
// goes, and only then the address is free for others.
func (h *Host) unplug(leases []Lease) error {
	if len(leases) == 0 {
		return nil
	}
	if err := h.unpublish(leases); err != nil {
		return err
	}
	shaped, err := h.shaped(leases)
	if err != nil {
		return err
	}
	var names []string
	for _, l := range leases {
		names = append(names, l.Link)
	}
	if err := h.deleteLinks(names); err != nil {
		return err
	}
	byNetwork := make(map[string][]Lease)
	for _, l := range leases {
		byNetwork[l.Network] = append(byNetwork[l.Network], l)
	}
	var errs []error
	for id, gone := range byNetwork {
		errs = append(errs, h.forgetNeighbours(id, gone), h.release(id, gone))
	}
	for id, gone := range shaped {
		errs = append(errs, h.unshape(id, gone))
	}
	return errorsOf(errs...)
}

// release drops leases from a network's file.
func (h *Host) release(id string, gone []Lease) error {
	err := h.store.entry(id).update(func(st *state) error {
		st.drop(func(l Lease) bool {
			return slices.ContainsFunc(gone, func(g Lease) bool {
				return g.Container == l.Container && g.IfName == l.IfName
			})
		})
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// forgetNeighbours deletes the bridge's permanent entries.
func (h *Host) forgetNeighbours(id string, gone []Lease) error {
	r, _, err := h.store.entry(id).view()
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	bridge, err := h.link.LinkByName(r.Network.Bridge)
	if err != nil {
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		return fmt.Errorf("cannot find bridge %q: %w", r.Network.Bridge, err)
	}
	var batch []request
	for _, l := range gone {
		for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
			if a.IsValid() {
				batch = append(batch, neighbour("delete neighbour "+a.String(), unix.RTM_DELNEIGH, 0,
					bridge.Attrs().Index, a, unix.ENOENT, unix.ENODEV))
			}
		}
	}
	return h.do(batch...)
}

// unpublish takes every port away that leads to the addresses.
func (h *Host) unpublish(leases []Lease) error {
	gone, resting := make(map[netip.Addr]bool), h.resting()
	for _, l := range leases {
		for _, a := range []netip.Addr{l.IPv4, l.IPv6} {
			if a.IsValid() {
				gone[a] = true
			}
		}
	}
	h.firewall.Lock()
	defer h.firewall.Unlock()
	have, err := h.publishedPorts()
	if err != nil {
		return err
	}
	left, removed := without(have, gone)
	stale := staleFlows{gone: gone}
	maps.DeleteFunc(stale.gone, func(a netip.Addr, _ bool) bool { return !resting[a] })
	if !removed {
		return h.forgetFlows(stale)
	}
	h.table.elements = have
	rest := ruleset{Table: h.table.name, Sets: left}
	_, err = h.table.update(rest)
	h.table.elements = nil
	if err != nil {
		return err
	}
	h.table.dropWritten(gone)
	after := staleAfter(have, elementsOf(rest), nil)
	after.gone = stale.gone
	return h.forgetFlows(after)
}

// dropWritten is told of members that were taken out.
func (t *table) dropWritten(gone map[netip.Addr]bool) {
	if t.written == nil {
		return
	}
	left, _ := without(t.written, gone)
	t.written = maps.Clone(t.written)
	maps.Copy(t.written, elementsOf(ruleset{Sets: left}))
}

// without computes the port sets with no element that leads to the addresses:
// the other backends share the slots.
func without(have map[string][]element, gone map[netip.Addr]bool) (left []set, removed bool) {
	for _, s := range portSets(nil, nil) {
		s.Elements = have[s.Name]
		rest := slices.DeleteFunc(slices.Clone(s.Elements), func(e element) bool {
			a, err := netip.ParseAddr(e.Data[0])
			return err == nil && gone[a]
		})
		if len(rest) != len(s.Elements) {
			removed, s.Elements = true, balance(unshare(rest))
		}
		left = append(left, s)
	}
	return left, removed
}

// publishedPorts are the port sets' members, from memory while that is true.
func (h *Host) publishedPorts() (map[string][]element, error) {
	now, err := h.generation()
	if err != nil {
		return nil, err
	}
	if h.table.elements != nil && h.table.generation == now {
		return h.table.elements, nil
	}
	have := make(map[string][]element)
	for _, s := range portSets(nil, nil) {
		if have[s.Name], err = h.table.readSet(s); err != nil {
			return nil, err
		}
	}
	return have, nil
}

// removals gathers links to delete: the kernel waits some 25 ms for readers at
// each deletion, however many links it is for.
type removals struct {
	serve sync.Mutex
	mu    sync.Mutex
	queue []*removal
}

type removal struct {
	names []string
	done  bool
	err   error
}

// deleteLinks deletes links by name, together with what other callers want
// deleted at the same moment. Links that don't exist are fine.
func (h *Host) deleteLinks(names []string) error {
	if len(names) == 0 {
		return nil
	}
	r, q := &removal{names: names}, &h.removals
	q.mu.Lock()
	q.queue = append(q.queue, r)
	q.mu.Unlock()

	q.serve.Lock()
	defer q.serve.Unlock()
	if r.done {
		return r.err
	}
	q.mu.Lock()
	all := q.queue
	q.queue = nil
	q.mu.Unlock()
	var together []string
	for _, r := range all {
		together = append(together, r.names...)
	}
	err := h.deleteAtOnce(together)
	for _, r := range all {
		r.done, r.err = true, err
	}
	return err
}

// doomed is in the number of each group whose links are to be deleted.
const doomed = 0x40000000

// deleteAtOnce puts the links into a link group of their own and deletes that.
func (h *Host) deleteAtOnce(names []string) error {
	var b [4]byte
	rand.Read(b[:])
	group := nl.Uint32Attr(binary.NativeEndian.Uint32(b[:])&0x3fffffff | doomed)
	var batch []request
	for _, name := range names {
		r := newRequest("mark link "+name, unix.RTM_NEWLINK, 0, unix.ENODEV)
		r.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		r.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
		r.attr(unix.IFLA_GROUP, group)
		batch = append(batch, r)
	}
	del := newRequest("delete links", unix.RTM_DELLINK, 0, unix.ENODEV)
	del.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	del.attr(unix.IFLA_GROUP, group)
	return h.do(append(batch, del)...)
}
