package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ResolverAddr is where a container's embedded resolver answers.
const ResolverAddr = "127.0.0.11"

// ListenResolver makes the two sockets of the embedded resolver inside a container,
// on ports that the kernel chooses, and makes queries there to 127.0.0.11:53 reach
// them; connection tracking makes the answers come from :53. Whoever holds the files
// serves there, from wherever it runs. Loopback must be up: Attach and Loopback see
// to it. Repeating it replaces the sockets. All is one visit: each takes a thread into
// the namespace and back.
func (h *Host) ListenResolver(pid int) (udp, tcp *os.File, err error) {
	s, err := h.openContainer(pid)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot serve names: %w", err)
	}
	defer s.Close()
	var files [2]*os.File
	err = h.run(s, func() error {
		var ports [2]uint16
		for i, network := range []string{"udp", "tcp"} {
			fd, err := listen(network, netip.AddrPortFrom(netip.MustParseAddr(ResolverAddr), 0))
			if err != nil {
				return fmt.Errorf("cannot listen for %s queries: %w", network, err)
			}
			files[i] = os.NewFile(uintptr(fd), network+" resolver")
			if ports[i], err = boundPort(fd); err != nil {
				return err
			}
		}
		return redirectHere(ports[0], ports[1])
	})
	if err == nil {
		return files[0], files[1], nil
	}
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
	return nil, nil, fmt.Errorf("cannot serve names inside process %d: %w", pid, err)
}

// boundPort is the port of an IPv4 socket.
func boundPort(fd int) (uint16, error) {
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("cannot find the port of a socket: %w", err)
	}
	v4, ok := at.(*unix.SockaddrInet4)
	if !ok {
		return 0, fmt.Errorf("cannot find the port of a socket: it is bound to %T", at)
	}
	return uint16(v4.Port), nil
}

func listen(network string, at netip.AddrPort) (int, error) {
	kinds := map[string]int{"tcp": unix.SOCK_STREAM, "udp": unix.SOCK_DGRAM}
	kind, ok := kinds[network]
	if !ok {
		return -1, fmt.Errorf("unknown network %q", network)
	}
	domain, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		domain, addr = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Bind(fd, addr); err == nil && network == "tcp" {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// redirectHere redirects queries in the calling thread's network namespace.
func redirectHere(udpPort, tcpPort uint16) error {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("cannot open an nftables socket: %w", err)
	}
	defer conn.CloseLasting()
	// Deleting a table first, to be sure, would cost 10 ms of waiting.
	table := &nftables.Table{Name: "stack-dns", Family: nftables.TableFamilyIPv4}
	conn.CreateTable(table)
	redirect(conn, table, udpPort, tcpPort)
	err = conn.Flush()
	if errors.Is(err, unix.EEXIST) {
		conn.DelTable(table)
		conn.AddTable(table)
		redirect(conn, table, udpPort, tcpPort)
		err = conn.Flush()
	}
	return err
}

// redirect queues the chain of:
//
//	table ip stack-dns {
//		chain output {
//			type nat hook output priority -100;
//			ip daddr 127.0.0.11 udp dport 53 redirect to :UDPPORT
//			ip daddr 127.0.0.11 tcp dport 53 redirect to :TCPPORT
//		}
//	}
//
// Redirect on output sends to 127.0.0.1, so dnat keeps the address.
func redirect(conn *nftables.Conn, table *nftables.Table, udpPort, tcpPort uint16) {
	chain := conn.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	resolver := netip.MustParseAddr(ResolverAddr).AsSlice()
	for _, to := range []struct {
		protocol byte
		port     uint16
	}{{unix.IPPROTO_UDP, udpPort}, {unix.IPPROTO_TCP, tcpPort}} {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
			equal(resolver),
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1},
			equal([]byte{to.protocol}),
			&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			equal(binaryutil.BigEndian.PutUint16(53)),
			&expr.Immediate{Register: reg1, Data: resolver},
			&expr.Immediate{Register: reg2, Data: binaryutil.BigEndian.PutUint16(to.port)},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg1, RegProtoMin: reg2},
		}})
	}
}
