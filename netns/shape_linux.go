package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// scope is which of a network's links shape looks at.
type scope func(link string) bool

func everyLink(string) bool { return true }

// shape makes the shapers of a network what its record and leases say: what is
// limited is led through them, and they go when nothing is. It reads both under a
// lock of its own, so that the last of several callers sees everything.
func (h *Host) shape(id string, which scope) error {
	e := h.store.entry(id)
	lock, err := flock(filepath.Join(e.dir, "shape"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the network is gone, and its shapers with it
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	r, leases, err := e.view()
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range shapers(r.Network, leases) {
		if err := h.applyShaper(r.Network, s, leases, which); err != nil {
			return fmt.Errorf("cannot limit the bandwidth of network %s: %w", r.Network.Name, err)
		}
	}
	return nil
}

func (h *Host) applyShaper(n Network, s shaper, leases []Lease, which scope) error {
	dev, err := h.findLink(s.link)
	if err != nil {
		return err
	}
	if !s.needed() {
		if dev == nil {
			return nil
		}
		if _, err := h.leadAll(nil, s, leases, everyLink); err != nil {
			return err
		}
		return h.do(deleteLink(s.link))
	}
	if dev, err = h.ensureShaper(n, s, dev); err != nil {
		return err
	}
	known, err := h.leadAll(dev, s, leases, which)
	if err != nil || known == nil {
		return err
	}
	return h.dropClasses(dev, func(minor uint16) bool { return minor <= maxMinor && !known[minor] })
}

// leadAll leads links through a shaper, or no longer. It returns the classes in
// use if it looked at every link.
func (h *Host) leadAll(dev netlink.Link, s shaper, leases []Lease, which scope) (known map[uint16]bool, err error) {
	known = make(map[uint16]bool)
	all := true
	for _, l := range leases {
		if !which(l.Link) {
			all = false
			continue
		}
		link, err := h.findLink(l.Link)
		if err != nil {
			return nil, err
		}
		if link == nil {
			continue
		}
		limit, led := s.ports[l.Link]
		if limit > 0 {
			known[portMinor(link.Attrs().Index)] = true
		}
		if err := h.leadThrough(dev, link, s.way, limit, led); err != nil {
			return nil, err
		}
	}
	if !all {
		return nil, nil
	}
	return known, nil
}

// findLink looks a link up; nil when there is none.
func (h *Host) findLink(name string) (netlink.Link, error) {
	l, err := h.link.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find link %s: %w", name, err)
	}
	return l, nil
}

// ensureShaper makes the link with its queue and the classes that all share.
func (h *Host) ensureShaper(n Network, s shaper, dev netlink.Link) (netlink.Link, error) {
	if dev != nil && dev.Type() != "ifb" {
		return nil, fmt.Errorf("link %s is not stack's", s.link)
	}
	if err := h.do(shaperRequests(s.link, shaperAlias(n, s.way))...); err != nil {
		return nil, err
	}
	if dev == nil {
		var err error
		if dev, err = h.link.LinkByName(s.link); err != nil {
			return nil, fmt.Errorf("cannot find link %s: %w", s.link, err)
		}
	}
	if err := h.ensureQueue(dev); err != nil {
		return nil, err
	}
	if err := h.ensureClass(dev, htbHandle, s.all()); err != nil {
		return nil, err
	}
	if err := h.ensureClass(dev, classHandle(allMinor), s.rest()); err != nil {
		return nil, err
	}
	return dev, h.ensureClassifier(dev)
}

func shaperRequests(name, alias string) []request {
	create := newRequest("create link "+name, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, unix.EEXIST)
	create.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	create.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("ifb"))
	create.AddData(info)
	alter := newRequest("alter link "+name, unix.RTM_NEWLINK, 0)
	alter.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	alter.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	alter.attr(unix.IFLA_IFALIAS, []byte(alias))
	alter.AddData(noLinkLocal())
	return []request{create, alter, linkUp(name)}
}

// unshape drops what shapers had for links that are gone, and shapers that are not
// needed any more.
func (h *Host) unshape(id string, gone []int) error {
	if err := h.shape(id, func(string) bool { return false }); err != nil || len(gone) == 0 {
		return err
	}
	minors := make(map[uint16]bool)
	for _, index := range gone {
		minors[portMinor(index)] = true
	}
	for _, way := range []direction{ingress, egress} {
		dev, err := h.findLink(shaperName(id, way))
		if err == nil && dev != nil {
			err = h.dropClasses(dev, func(minor uint16) bool { return minors[minor] })
		}
		if err != nil {
			return fmt.Errorf("cannot lift a limit of bandwidth: %w", err)
		}
	}
	return nil
}

// shaped finds the links among leases whose going must be told to shapers, by
// network.
func (h *Host) shaped(leases []Lease) (map[string][]int, error) {
	out := make(map[string][]int)
	for _, l := range leases {
		n, err := h.store.entry(l.Network).network()
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if l.Bandwidth == (Bandwidth{}) && n.Bandwidth == (Bandwidth{}) {
			continue
		}
		link, err := h.findLink(l.Link)
		if err != nil {
			return nil, err
		}
		out[l.Network] = append(out[l.Network], indexOf(link)...)
	}
	return out, nil
}

func indexOf(l netlink.Link) []int {
	if l == nil {
		return nil
	}
	return []int{l.Attrs().Index}
}
