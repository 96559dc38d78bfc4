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

// ListenIn makes a socket inside a container's network namespace; whoever holds
// the file serves there, from wherever it runs. Network is "udp" or "tcp" (which
// listens), address is IP:PORT, port 0 lets the kernel choose. Loopback must be
// up: Attach and Loopback see to it.
func (h *Host) ListenIn(pid int, network, address string) (*os.File, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen inside process %d: %w", pid, err)
	}
	s, err := h.openContainer(pid)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	defer s.Close()
	var f *os.File
	err = h.run(s, func() error {
		fd, err := listen(network, at)
		if err != nil {
			return fmt.Errorf("cannot listen on %s %s inside process %d: %w", network, address, pid, err)
		}
		f = os.NewFile(uintptr(fd), network+" "+address)
		return nil
	})
	return f, err
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

// RedirectDNS makes queries inside a container to 127.0.0.11:53 reach the given
// ports there; connection tracking makes the answers come from :53. Repeating
// it replaces the ports.
func (h *Host) RedirectDNS(pid int, udpPort, tcpPort uint16) error {
	s, err := h.openContainer(pid)
	if err != nil {
		return fmt.Errorf("cannot redirect DNS: %w", err)
	}
	defer s.Close()
	return h.run(s, func() error {
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
		if err != nil {
			return fmt.Errorf("cannot redirect DNS inside process %d: %w", pid, err)
		}
		return nil
	})
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
