package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// ResolverAddr is where a container's embedded resolver answers.
const ResolverAddr = "127.0.0.11"

// ListenDNS makes the sockets of a container's resolver on 127.0.0.11, and the table
// that leads queries to :53 there, and clients of services to their backends. The
// container is attached.
func (h *Host) ListenDNS(container string, pid int) (udp, tcp *os.File, err error) {
	s, err := h.openContainer(pid)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot serve names inside container %s: %w", short(container), err)
	}
	defer s.Close()
	defer h.changing.lock(container)()
	r := h.settled(container, process{pid, s.id})
	err = h.run(s, func() (err error) {
		if udp, r.udp, err = listenAt("udp"); err != nil {
			return err
		}
		if tcp, r.tcp, err = listenAt("tcp"); err != nil {
			return err
		}
		now, err := h.snapshot(r.networks)
		if err != nil {
			return err
		}
		return r.begin(now)
	})
	if err != nil {
		for _, f := range []*os.File{udp, tcp} {
			if f != nil {
				f.Close()
			}
		}
		return nil, nil, fmt.Errorf("cannot serve names inside container %s: %w", short(container), err)
	}
	return udp, tcp, nil
}

// ResumeDNS tells of sockets that an earlier Host made, and brings the container's
// table up to date.
func (h *Host) ResumeDNS(container string, pid int, udp, tcp *os.File) error {
	s, err := h.openContainer(pid)
	if err != nil {
		return fmt.Errorf("cannot serve names inside container %s: %w", short(container), err)
	}
	defer s.Close()
	defer h.changing.lock(container)()
	r := h.settled(container, process{pid, s.id})
	err = h.run(s, func() (err error) {
		if r.udp, err = filePort(udp); err != nil {
			return err
		}
		if r.tcp, err = filePort(tcp); err != nil {
			return err
		}
		now, err := h.snapshot(r.networks)
		if err != nil {
			return err
		}
		return r.begin(now)
	})
	if err != nil {
		return fmt.Errorf("cannot serve names inside container %s: %w", short(container), err)
	}
	return nil
}

// settled is settleIn for a container that has its leases; on no network if they
// cannot be read, which the next Apply repairs.
func (h *Host) settled(container string, p process) *resident {
	leases, _ := h.Lease(container)
	return h.settleIn(container, p, leases)
}

// listenAt makes a resolver's socket in the calling thread's namespace, where
// loopback is up: Attach and Loopback see to it. The kernel chooses the port.
func listenAt(network string) (*os.File, uint16, error) {
	kind := unix.SOCK_DGRAM
	if network == "tcp" {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	f := os.NewFile(uintptr(fd), network+" "+ResolverAddr)
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(ResolverAddr).As4()})
	if err == nil && network == "tcp" {
		err = unix.Listen(fd, 128)
	}
	var port uint16
	if err == nil {
		port, err = boundPort(fd)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, port, nil
}

// filePort is boundPort of a file, which stays as it is: Fd would make it block.
func filePort(f *os.File) (port uint16, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	err2 := c.Control(func(fd uintptr) { port, err = boundPort(int(fd)) })
	return port, errorsOf(err, err2)
}

func boundPort(fd int) (uint16, error) {
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("cannot read a socket's address: %w", err)
	}
	in, ok := at.(*unix.SockaddrInet4)
	if !ok {
		return 0, errors.New("cannot read a socket's address: it is not of IPv4")
	}
	return uint16(in.Port), nil
}
