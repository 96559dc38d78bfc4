package netns

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	htbHandle      = 1 << 16 // "1:"
	filterPriority = 1
	bpfHandle      = 1
	classifierName = "stack-shaper"
)

func classHandle(minor uint16) uint32 { return htbHandle | uint32(minor) }

// ensureQueue gives a shaper its root queue, and takes any other away.
func (h *Host) ensureQueue(dev netlink.Link) error {
	queues, err := dumped(h, func() ([]netlink.Qdisc, error) { return h.link.QdiscList(dev) })
	if err != nil {
		return fmt.Errorf("cannot list the queues of %s: %w", dev.Attrs().Name, err)
	}
	if rightQueue(queues) {
		return nil
	}
	want := netlink.NewHtb(netlink.QdiscAttrs{LinkIndex: dev.Attrs().Index, Handle: htbHandle, Parent: netlink.HANDLE_ROOT})
	want.Defcls = restMinor
	for _, q := range queues {
		if q.Attrs().Parent == netlink.HANDLE_ROOT && q.Attrs().Handle != 0 {
			if err := h.link.QdiscDel(q); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("cannot take the queue from %s: %w", dev.Attrs().Name, err)
			}
		}
	}
	if err := h.link.QdiscAdd(want); err != nil {
		return fmt.Errorf("cannot give %s a queue: %w", dev.Attrs().Name, err)
	}
	return nil
}

func rightQueue(queues []netlink.Qdisc) bool {
	for _, q := range queues {
		if htb, ok := q.(*netlink.Htb); ok && q.Attrs().Parent == netlink.HANDLE_ROOT {
			return q.Attrs().Handle == htbHandle && htb.Defcls == restMinor
		}
	}
	return false
}

// ensureClass makes a class, or gives it its rates, and bounds what waits in it.
//
// What waits is in a token bucket that never lacks tokens: it is the one queue that
// takes large segments apart on entry, those above its bucket's size. A queue that
// holds 100 ms of a slow link has room for two of them, and TCP would starve.
func (h *Host) ensureClass(dev netlink.Link, parent uint32, c class) error {
	attrs := netlink.ClassAttrs{LinkIndex: dev.Attrs().Index, Parent: parent, Handle: classHandle(c.minor)}
	err := h.link.ClassReplace(netlink.NewHtbClass(attrs, netlink.HtbClassAttrs{
		Rate: c.rate, Ceil: c.ceil, Buffer: burst(c.rate), Cbuffer: burst(c.ceil), Quantum: 1 << 14,
	}))
	if err != nil {
		return fmt.Errorf("cannot make a class of %s: %w", dev.Attrs().Name, err)
	}
	if c.minor == allMinor {
		return nil // nothing waits there
	}
	bucket := burst(c.ceil)
	rate := 50_000 * uint64(bucket) // full again in 20 µs
	err = h.link.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: dev.Attrs().Index, Parent: classHandle(c.minor)},
		Rate:       rate, Limit: backlog(c.ceil), Buffer: netlink.Xmittime(rate, bucket),
	})
	if err != nil {
		return fmt.Errorf("cannot give a class of %s a queue: %w", dev.Attrs().Name, err)
	}
	return nil
}

func (h *Host) ensureClassifier(dev netlink.Link) error {
	there, err := h.hasClassifier(dev)
	if err != nil || there {
		return err
	}
	program, err := loadClassifier()
	if err != nil {
		return err
	}
	defer program.Close()
	err = h.link.FilterReplace(&netlink.BpfFilter{
		FilterAttrs: filterAttrs(dev, htbHandle, bpfHandle), Fd: program.FD(), Name: classifierName,
	})
	if err != nil {
		return fmt.Errorf("cannot give %s a classifier: %w", dev.Attrs().Name, err)
	}
	return nil
}

func filterAttrs(dev netlink.Link, parent, handle uint32) netlink.FilterAttrs {
	return netlink.FilterAttrs{
		LinkIndex: dev.Attrs().Index, Parent: parent, Handle: handle, Priority: filterPriority, Protocol: unix.ETH_P_ALL,
	}
}

func (h *Host) filters(dev netlink.Link, parent uint32) ([]netlink.Filter, error) {
	list, err := dumped(h, func() ([]netlink.Filter, error) { return h.link.FilterList(dev, parent) })
	if err != nil {
		return nil, fmt.Errorf("cannot list the filters of %s: %w", dev.Attrs().Name, err)
	}
	return list, nil
}

func (h *Host) hasClassifier(dev netlink.Link) (bool, error) {
	list, err := h.filters(dev, htbHandle)
	for _, f := range list {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == classifierName {
			return true, err
		}
	}
	return false, err
}

// hook is where a direction's traffic passes a container's link on the host: what
// leaves the container arrives there.
func (d direction) hook() uint32 {
	if d == egress {
		return netlink.HANDLE_MIN_INGRESS
	}
	return netlink.HANDLE_MIN_EGRESS
}

// leadThrough redirects a link's traffic to a shaper, into a class of its own if it
// has a limit; led is false where that shall be no more.
func (h *Host) leadThrough(dev, link netlink.Link, way direction, limit uint64, led bool) error {
	if !led {
		return h.lead(link, way, 0)
	}
	if limit > 0 {
		if err := h.ensureClass(dev, classHandle(allMinor), child(portMinor(link.Attrs().Index), limit)); err != nil {
			return err
		}
	}
	hooks := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := h.link.QdiscAdd(hooks); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("cannot hook into link %s: %w", link.Attrs().Name, err)
	}
	right, err := h.isLed(link, way, dev.Attrs().Index)
	if err != nil || right {
		return err
	}
	return h.lead(link, way, dev.Attrs().Index)
}

// lead replaces the redirection of a link, by none when to is 0. The filter has no
// handle to replace it by: both hooks of a link number theirs together.
func (h *Host) lead(link netlink.Link, way direction, to int) error {
	filter := &netlink.U32{FilterAttrs: filterAttrs(link, way.hook(), 0)}
	err := h.link.FilterDel(filter)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) { // no filter, or no hook
		return fmt.Errorf("cannot lift the limit of link %s: %w", link.Attrs().Name, err)
	}
	if to == 0 {
		return nil
	}
	filter.Actions = []netlink.Action{netlink.NewMirredAction(to)}
	if err := h.link.FilterAdd(filter); err != nil {
		return fmt.Errorf("cannot redirect link %s: %w", link.Attrs().Name, err)
	}
	return nil
}

func (h *Host) classes(dev netlink.Link) (map[uint16]*netlink.HtbClass, error) {
	list, err := dumped(h, func() ([]netlink.Class, error) { return h.link.ClassList(dev, netlink.HANDLE_NONE) })
	if err != nil {
		return nil, fmt.Errorf("cannot list the classes of %s: %w", dev.Attrs().Name, err)
	}
	out := make(map[uint16]*netlink.HtbClass)
	for _, c := range list {
		if htb, ok := c.(*netlink.HtbClass); ok {
			out[uint16(c.Attrs().Handle)] = htb
		}
	}
	return out, nil
}

// dropClasses deletes classes of links that are gone.
func (h *Host) dropClasses(dev netlink.Link, gone func(minor uint16) bool) error {
	list, err := h.classes(dev)
	if err != nil {
		return err
	}
	for minor, c := range list {
		if !gone(minor) {
			continue
		}
		if err := h.link.ClassDel(c); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot delete a class of %s: %w", dev.Attrs().Name, err)
		}
	}
	return nil
}
