package netns

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// repairShapers writes the endpoints' limits into their leases, then makes the
// shapers what they say.
func (h *Host) repairShapers(n Network, eps []Endpoint, leases []Lease, v *kernelView) error {
	changed, err := h.recordLimits(n.ID, eps, leases)
	if err != nil {
		return err
	}
	for _, s := range shapers(n, leases) {
		_, there := v.byName[s.link]
		changed = changed || there || s.needed()
	}
	if !changed {
		return nil
	}
	return h.shape(n.ID, everyLink)
}

// recordLimits tells the leases of limits that changed since their containers were
// attached.
func (h *Host) recordLimits(id string, eps []Endpoint, leases []Lease) (changed bool, err error) {
	want := make(map[[2]string]Bandwidth)
	for _, e := range eps {
		if e.Network == id {
			want[[2]string{e.Container, e.IfName}] = e.Bandwidth
		}
	}
	other := func(l Lease) bool {
		limit, ok := want[[2]string{l.Container, l.IfName}]
		return ok && limit != l.Bandwidth
	}
	for _, l := range leases {
		changed = changed || other(l)
	}
	if !changed {
		return false, nil
	}
	return true, h.store.entry(id).update(func(st *state) error {
		for i, line := range st.leases {
			if l := line.Lease; other(l) {
				l.Bandwidth = want[[2]string{l.Container, l.IfName}]
				if err := st.replace(i, l); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// brokenShapers compares the kernel with what a network's record and leases limit.
func (h *Host) brokenShapers(n Network, leases []Lease, v *kernelView) (out []Fault, err error) {
	for _, s := range shapers(n, leases) {
		if !s.needed() {
			continue
		}
		fault, err := h.shaperFault(s, v)
		if errors.Is(err, unix.ENODEV) {
			fault, err = "was removed", nil // since v was taken
		}
		if err != nil {
			return nil, err
		}
		if fault != "" {
			text := fmt.Sprintf("the %s limit of network %s is not in force: %s", s.way, n.Name, fault)
			out = append(out, Fault{Network: n.Name, Text: text})
		}
	}
	return out, nil
}

func (h *Host) shaperFault(s shaper, v *kernelView) (string, error) {
	dev, ok := v.byName[s.link]
	if !ok || dev.Attrs().RawFlags&unix.IFF_UP == 0 {
		return "link " + s.link + " is missing or down", nil
	}
	queues, err := dumped(h, func() ([]netlink.Qdisc, error) { return h.link.QdiscList(dev) })
	if err != nil {
		return "", err
	}
	there, err := h.hasClassifier(dev)
	if err != nil {
		return "", err
	}
	if !rightQueue(queues) || !there {
		return "the queue of link " + s.link + " was altered", nil
	}
	classes, err := h.classes(dev)
	if err != nil {
		return "", err
	}
	want := []class{s.all(), s.rest()}
	for name, limit := range s.ports {
		link, ok := v.byName[name]
		if !ok {
			continue // told otherwise
		}
		if limit > 0 {
			want = append(want, child(portMinor(link.Attrs().Index), limit))
		}
		led, err := h.isLed(link, s.way, dev.Attrs().Index)
		if err != nil {
			return "", err
		}
		if !led {
			return "link " + name + " is not redirected", nil
		}
	}
	for _, c := range want {
		if have := classes[c.minor]; have == nil || have.Ceil != c.ceil/8 {
			return "the classes of link " + s.link + " were altered", nil
		}
	}
	return "", nil
}

func (h *Host) isLed(link netlink.Link, way direction, to int) (bool, error) {
	list, err := h.filters(link, way.hook())
	if err != nil {
		return false, err
	}
	for _, f := range list {
		if u, ok := f.(*netlink.U32); ok && u.RedirIndex == to {
			return true, nil
		}
	}
	return false, nil
}
