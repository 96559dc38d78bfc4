package netns

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// makeTaps makes the devices of a machine in its namespace, up.
func (h *Host) makeTaps(s *space, plugs []*plug) error {
	if !slices.ContainsFunc(plugs, func(p *plug) bool { return p.tap != "" }) {
		return nil
	}
	return h.run(s, func() error {
		for _, p := range plugs {
			if p.tap == "" {
				continue
			}
			if err := p.makeTap(); err != nil {
				return fmt.Errorf("cannot make tap %s: %w", p.tap, err)
			}
		}
		return nil
	})
}

// makeTap makes a device that stays while nobody has it open.
func (p *plug) makeTap() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(p.tap)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
		return err
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1); err != nil {
		return err
	}
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(control)
	for _, step := range []struct {
		request uint
		set     func(*unix.Ifreq)
	}{
		{unix.SIOCSIFMTU, func(r *unix.Ifreq) { r.SetUint32(uint32(p.mtu)) }},
		{unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) }},
		{unix.SIOCGIFINDEX, func(*unix.Ifreq) {}},
	} {
		if r, err = unix.NewIfreq(p.tap); err != nil {
			return err
		}
		step.set(r)
		if err := unix.IoctlIfreq(control, step.request, r); err != nil {
			return err
		}
	}
	p.tapIndex = int(r.Uint32())
	return nil
}

// tuneTaps sets what packets on their way to and from machines need.
func (h *Host) tuneTaps(s *space, plugs []*plug) error {
	todo := tapSysctls(plugs)
	if len(todo) == 0 {
		return nil
	}
	return h.run(s, func() error {
		for _, name := range slices.Sorted(maps.Keys(todo)) {
			if err := writeSysctl(name, todo[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

// tapRequests take the place of an endpoint's own addresses: the subnets are on ethN,
// the machine behind the tap.
func (p *plug) tapRequests() (out []request) {
	for _, a := range p.addresses() {
		out = append(out,
			routeOn("add route to "+a.Masked().String(), a.Masked(), p.index),
			routeOn("add route to the machine", whole(a.Addr()), p.tapIndex))
		out = append(out, neighbours("the machine's neighbour entry", p.tapIndex, p.mac, a.Addr())...)
		if a.Addr().Is6() {
			out = append(out, proxyNeighbour(p.index, a.Addr()))
		}
	}
	out = append(out, p.ownAddress(netip.PrefixFrom(tapAddr4(), 32)))
	if p.lease.IPv6.IsValid() {
		out = append(out, p.ownAddress(netip.PrefixFrom(tapAddr6(), 64)), p.ownAddress(whole(tapSelf6())))
	}
	return out
}

// ownAddress is one of the namespace's on the tap.
func (p *plug) ownAddress(a netip.Prefix) request {
	onTap := *p
	onTap.index = p.tapIndex
	return onTap.addressOf(a, a.Addr() == tapAddr6())
}

// proxyNeighbour makes a link answer for an address of another one.
func proxyNeighbour(index int, a netip.Addr) request {
	r := newRequest("answer for the machine", unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	r.AddData(&netlink.Ndmsg{Family: family(a), Index: uint32(index), State: netlink.NUD_PERMANENT, Flags: netlink.NTF_PROXY})
	r.attr(netlink.NDA_DST, a.AsSlice())
	return r
}
