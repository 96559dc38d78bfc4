package netns

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// concernsLinks reports whether a route message may be about a loss of the project's:
// its bridges, links, their addresses, routes, neighbours and shapers, forwarding.
func (h *Host) concernsLinks(m message) bool {
	switch {
	case m.lost:
		return true
	case m.port != 0 && m.port == h.route.port:
		return false
	}
	switch m.kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return h.concernsLink(m)
	case unix.RTM_DELADDR:
		return len(m.body) >= unix.SizeofIfAddrmsg && h.isBridge(int(nl.DeserializeIfAddrmsg(m.body).Index))
	case unix.RTM_DELROUTE:
		return h.concernsRoute(m.body)
	case unix.RTM_NEWNETCONF:
		return concernsForwarding(m.body)
	case unix.RTM_DELNEIGH:
		return h.concernsNeighbour(m.body)
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTCLASS, unix.RTM_DELTCLASS, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
		return h.limits()
	}
	return false
}

// concernsLink judges a link by what the message says of it: links change their state
// with each container that comes and goes, which is no loss.
func (h *Host) concernsLink(m message) bool {
	if len(m.body) < unix.SizeofIfInfomsg || m.body[0] != unix.AF_UNSPEC {
		return false
	}
	head := nl.DeserializeIfInfomsg(m.body)
	link, err := netlink.LinkDeserialize(nil, m.body)
	if err != nil {
		return true
	}
	a := link.Attrs()
	bridge := h.isBridge(a.Index)
	if a.Group&doomed != 0 || !bridge && !strings.HasPrefix(a.Alias, aliasPrefix(h.o.Project)) {
		return false
	}
	switch {
	case m.kind == unix.RTM_DELLINK:
		return bridge || strings.Contains(a.Alias, " network ") || strings.Contains(a.Alias, " shaper ") || h.isLeased(a.Name)
	case bridge:
		return !h.bridgeIsRight(a)
	}
	// On its way up a link is down with no flag changed.
	lowered := head.Change&unix.IFF_UP != 0 && a.Flags&net.FlagUp == 0
	return lowered || a.Flags&net.FlagUp != 0 && (!h.isBridge(a.MasterIndex) || !h.isLeased(a.Name)) && !strings.Contains(a.Alias, " shaper ")
}

func (h *Host) isBridge(index int) bool { return h.networkOn(index) != "" }

// networkOn is the ID of the network that a bridge was made for, or "".
func (h *Host) networkOn(bridge int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, index := range h.bridges {
		if index == bridge {
			return id
		}
	}
	return ""
}

func (h *Host) bridgeIsRight(a *netlink.LinkAttrs) bool {
	n, err := h.store.entry(h.networkOn(a.Index)).network()
	return err == nil && a.Name == n.Bridge && upToDate(a, n, bridgeAlias(n.Project, n.ID))
}

func (h *Host) isLeased(link string) bool {
	found, err := h.leases(func(l Lease) bool { return l.Link == link })
	return err != nil || len(found) > 0
}

// concernsNeighbour looks for the entry of an address that somebody has.
func (h *Host) concernsNeighbour(body []byte) bool {
	n, err := netlink.NeighDeserialize(body)
	if err != nil || n.Family == unix.AF_BRIDGE {
		return false
	}
	id := h.networkOn(n.LinkIndex)
	if id == "" {
		return false
	}
	at, _ := netip.AddrFromSlice(n.IP)
	at = at.Unmap()
	_, leases, err := h.store.entry(id).view()
	for _, l := range leases {
		if at.IsValid() && (l.IPv4 == at || l.IPv6 == at) {
			link, err := h.findLink(l.Link)
			return err != nil || link != nil // it goes with its link, which is told by itself
		}
	}
	return err != nil
}

// limits reports whether the project limits bandwidth.
func (h *Host) limits() bool {
	h.mu.Lock()
	a := h.applied
	h.mu.Unlock()
	if a == nil {
		return false
	}
	for _, n := range a.networks {
		if n.Bandwidth != (Bandwidth{}) {
			return true
		}
	}
	for _, e := range a.config.Endpoints {
		if e.Bandwidth != (Bandwidth{}) {
			return true
		}
	}
	return false
}

// concernsTables reports whether an nftables message may be about a loss: in the
// project's table, in a container's, or of the accepts in the tables of others.
func (h *Host) concernsTables(m message) bool {
	if m.lost {
		h.doubtInside.Store(true)
		return true
	}
	if m.kind>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.body) < nl.SizeofNfgenmsg {
		return false
	}
	name := tableOf(m)
	switch {
	case m.nsid != here:
		if name != insideTable || h.insiders.has(m.port) {
			return false
		}
		h.doubtInside.Store(true)
		return true
	case m.port == h.table.port:
		return false
	case name == h.table.name:
		return true
	}
	// Sets of others change often and accept nothing.
	return name != "" && !strings.HasPrefix(name, "stack-") && !isSetElement(m.kind)
}

// tableOf is the name of the table that a message is about; that of a transaction as
// a whole has none. It is attribute 1 of all others (linux/netfilter/nf_tables.h).
func tableOf(m message) string {
	switch m.kind & 0xff {
	case unix.NFT_MSG_NEWGEN, unix.NFT_MSG_GETGEN:
		return ""
	}
	attrs, err := nl.ParseRouteAttr(m.body[nl.SizeofNfgenmsg:])
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == unix.NFTA_TABLE_NAME {
			return unix.ByteSliceToString(a.Value)
		}
	}
	return ""
}

func isSetElement(kind uint16) bool {
	switch kind & 0xff {
	case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM, unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET:
		return true
	}
	return false
}

// ports are addresses of this Host's own sockets inside containers; several
// namespaces may have the same one.
type ports struct {
	mu sync.Mutex
	n  map[uint32]int
}

func (p *ports) add(port uint32, n int) {
	if p == nil {
		return // nobody listens: a table that no Host made
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == nil {
		p.n = make(map[uint32]int)
	}
	if p.n[port] += n; p.n[port] == 0 {
		delete(p.n, port)
	}
}

func (p *ports) has(port uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n[port] > 0
}
