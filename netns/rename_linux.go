package netns

import (
	"errors"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// restoreNames gives the project's links the names back that somebody took from them:
// they are known by their aliases. A new one beside a renamed one would have to share its
// addresses with it. It returns v, looked at anew if anything changed.
func (h *Host) restoreNames(v *kernelView) (*kernelView, error) {
	lost, err := h.lostNames(v)
	if err != nil || len(lost) == 0 {
		return v, err
	}
	renamed := false
	for _, l := range v.byName {
		if name, ok := lost[l.Attrs().Alias]; ok {
			if err := h.rename(l.Attrs().Index, name); err != nil {
				return nil, err
			}
			renamed = true
		}
	}
	if !renamed {
		return v, nil
	}
	return h.look()
}

// lostNames are the names, by alias, of the project's links that no link has.
func (h *Host) lostNames(v *kernelView) (map[string]string, error) {
	entries, err := h.store.list()
	if err != nil {
		return nil, err
	}
	lost := map[string]string{}
	note := func(alias, name string) {
		if _, there := v.byName[name]; !there && name != "" {
			lost[alias] = name
		}
	}
	for _, e := range entries {
		r, leases, err := e.view()
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(r.Owners, h.o.Project) {
			note(bridgeAlias(r.Network.Project, r.Network.ID), r.Network.Bridge)
		}
		for _, l := range leases {
			if l.Project == h.o.Project {
				note(linkAlias(l.Project, l.Container, l.IfName), l.Link)
			}
		}
	}
	return lost, nil
}

// rename renames a link; before Linux 6.2 it must be down for that.
func (h *Host) rename(index int, name string) error {
	change := func(what string, flags uint32) request {
		r := newRequest(what, unix.RTM_NEWLINK, 0, unix.ENODEV)
		msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index, msg.Flags = int32(index), flags
		if what != "" {
			msg.Change = unix.IFF_UP
		}
		r.AddData(msg)
		return r
	}
	named := change("", 0)
	named.what = "rename a link to " + name
	named.attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	err := h.do(named)
	if errors.Is(err, unix.EBUSY) {
		err = h.do(change("set link down for its name "+name, 0), named, change("set link "+name+" up", unix.IFF_UP))
	}
	return err
}
