package netns

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Reserve binds a published port on the host, so that no program and no other
// stack takes it while rules lead its packets to a container; a wildcard
// reserves both families. The file is a socket that is bound and neither listens
// nor reads: Proxy can serve from it what rules cannot redirect.
//
// A port in use gives "port 8080 is taken by nginx (pid 123)", wrapping
// EADDRINUSE.
func (h *Host) Reserve(p Port) (*os.File, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var f *os.File
	err := h.run(h.space, func() (err error) {
		fd, err := h.bindPort(p)
		if err == nil {
			f = os.NewFile(uintptr(fd), "port "+p.String())
			return nil
		}
		if errors.Is(err, unix.EADDRINUSE) {
			return &PortTakenError{Port: p, Owner: portOwner(p), Err: err}
		}
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("cannot publish port %v: the host has no such address: %w", p, err)
		}
		return fmt.Errorf("cannot reserve port %v: %w", p, err)
	})
	return f, err
}

func (h *Host) bindPort(p Port) (int, error) {
	domain, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(p.HostPort)})
	host := p.HostIP.Unmap()
	switch {
	case p.wildcard() && h.ipv6, host.Is6():
		domain = unix.AF_INET6
		sa := &unix.SockaddrInet6{Port: int(p.HostPort)}
		if host.IsValid() {
			sa.Addr = host.As16()
		}
		addr = sa
	case host.IsValid():
		addr = &unix.SockaddrInet4{Port: int(p.HostPort), Addr: host.As4()}
	}
	kind := unix.SOCK_STREAM
	if p.Protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if domain == unix.AF_INET6 {
		only := 1
		if p.wildcard() {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	bind := bindUDP
	if kind == unix.SOCK_STREAM {
		bind = bindTCP
	}
	if err := bind(fd, addr); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func bindUDP(fd int, addr unix.Sockaddr) error {
	// Packets may wait here only while no proxy reads.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10)
	return unix.Bind(fd, addr)
}

// bindTCP takes the port even while connections of an earlier server are in
// TIME_WAIT, which needs SO_REUSEADDR at bind. A moment of listening then makes
// the kernel treat the port as exclusive, also towards SO_REUSEADDR of others;
// shutdown ends the listening and keeps the port.
func bindTCP(fd int, addr unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, addr); err != nil {
		return err
	}
	if err := unix.Listen(fd, 1); err != nil {
		return err
	}
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
}
