package guest

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// setUpInterfaces gives the machine its addresses. The devices are told apart by
// their hardware addresses, and named as they are called in a container.
func setUpInterfaces(list []runtime.Interface) error {
	if err := up("lo", 0); err != nil {
		return err
	}
	for _, i := range list {
		if err := setUp(i); err != nil {
			return fmt.Errorf("cannot set up interface %s: %w", i.Name, err)
		}
	}
	return nil
}

func setUp(i runtime.Interface) error {
	if err := rename(i); err != nil {
		return err
	}
	if err := up(i.Name, i.MTU); err != nil {
		return err
	}
	index, err := indexOf(i.Name)
	if err != nil {
		return err
	}
	for _, a := range i.Addresses {
		if err := addAddress(i.Name, index, a); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	for _, r := range i.Routes {
		if err := addRoute(i.Name, index, r); err != nil {
			return fmt.Errorf("route to %s: %w", r.Destination, err)
		}
	}
	return nil
}

func control(family int, f func(fd int) error) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

// up brings a link up; mtu 0 keeps what it has.
func up(name string, mtu int) error {
	return control(unix.AF_INET, func(fd int) error {
		if mtu > 0 {
			r, err := unix.NewIfreq(name)
			if err != nil {
				return err
			}
			r.SetUint32(uint32(mtu))
			if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, r); err != nil {
				return fmt.Errorf("cannot set the MTU of %s: %w", name, err)
			}
		}
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_UP)
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
			return fmt.Errorf("cannot bring up %s: %w", name, err)
		}
		return nil
	})
}

func indexOf(name string) (index int, err error) {
	err = control(unix.AF_INET, func(fd int) error {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
			return err
		}
		index = int(r.Uint32())
		return nil
	})
	return index, err
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); no != 0 {
		return no
	}
	return nil
}

// in6Ifreq is struct in6_ifreq of linux/ipv6.h.
type in6Ifreq struct {
	addr   [16]byte
	length uint32
	index  int32
}

func addAddress(name string, index int, a netip.Prefix) error {
	if a.Addr().Is6() {
		r := in6Ifreq{addr: a.Addr().As16(), length: uint32(a.Bits()), index: int32(index)}
		return control(unix.AF_INET6, func(fd int) error { return ioctl(fd, unix.SIOCSIFADDR, unsafe.Pointer(&r)) })
	}
	return control(unix.AF_INET, func(fd int) error {
		r, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ip := a.Addr().As4()
		if err := r.SetInet4Addr(ip[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r); err != nil {
			return err
		}
		mask := mask4(a.Bits())
		if err := r.SetInet4Addr(mask[:]); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, r)
	})
}

func mask4(bits int) [4]byte {
	m := ^uint32(0) << (32 - bits)
	if bits == 0 {
		m = 0
	}
	return [4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)}
}

// rtentry is struct rtentry of linux/route.h on 64-bit machines.
type rtentry struct {
	_       uint64
	dst     unix.RawSockaddrInet4
	gateway unix.RawSockaddrInet4
	mask    unix.RawSockaddrInet4
	flags   uint16
	_       int16
	_       uint32
	_       uint64
	_       uint8
	_       uint8
	_       [3]int16
	metric  int16
	_       [3]int16
	dev     uintptr
	_       uint64
	_       uint64
	_       uint16
	_       [3]uint16
}

// in6Rtmsg is struct in6_rtmsg of linux/ipv6_route.h.
type in6Rtmsg struct {
	dst, src, gateway [16]byte
	kind              uint32
	dstLen, srcLen    uint16
	metric            uint32
	info              uint64
	flags             uint32
	index             int32
}

const (
	rtfUp      = 0x1
	rtfGateway = 0x2
)

func addRoute(name string, index int, r runtime.Route) error {
	if r.Destination.Addr().Is6() {
		m := in6Rtmsg{dst: r.Destination.Addr().As16(), dstLen: uint16(r.Destination.Bits()), metric: 1, flags: rtfUp, index: int32(index)}
		if r.Via.IsValid() {
			m.gateway, m.flags = r.Via.As16(), m.flags|rtfGateway
		}
		return control(unix.AF_INET6, func(fd int) error { return ioctl(fd, unix.SIOCADDRT, unsafe.Pointer(&m)) })
	}
	dev := append([]byte(name), 0)
	inet := func(a [4]byte) unix.RawSockaddrInet4 { return unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a} }
	m := rtentry{
		dst: inet(r.Destination.Addr().As4()), mask: inet(mask4(r.Destination.Bits())), gateway: inet([4]byte{}),
		flags: rtfUp, dev: uintptr(unsafe.Pointer(&dev[0])),
	}
	if r.Via.IsValid() {
		m.gateway, m.flags = inet(r.Via.As4()), m.flags|rtfGateway
	}
	return control(unix.AF_INET, func(fd int) error { return ioctl(fd, unix.SIOCADDRT, unsafe.Pointer(&m)) })
}
