package netns

import (
	"fmt"
	"maps"
	"slices"

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
