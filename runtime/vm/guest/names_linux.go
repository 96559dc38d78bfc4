package guest

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"

	"stack/runtime/vm/wire"
)

// serveNames answers at the resolver's address, as the one in a container's
// namespace does, by asking that one: it is on the monitor's side.
func (g *Guest) serveNames(at netip.Addr) error {
	address := netip.AddrPortFrom(at, 53)
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return err
	}
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address))
	if err != nil {
		udp.Close()
		return err
	}
	go g.servePackets(udp)
	go g.serveConnections(tcp)
	return nil
}

func (g *Guest) servePackets(udp *net.UDPConn) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		query := append(binary.BigEndian.AppendUint16(nil, uint16(n)), buf[:n]...)
		go g.ask(udp, from, query)
	}
}

// ask sends one query and its answer. Lost ones are asked again by who asked.
func (g *Guest) ask(udp *net.UDPConn, from netip.AddrPort, query []byte) {
	s, err := g.port.Open(wire.Request{Op: wire.OpName, Network: "udp"})
	if err != nil {
		return
	}
	defer s.Close()
	if _, err := s.Writer(wire.Stdin).Write(query); err != nil {
		return
	}
	var size [2]byte
	r := s.Reader(wire.Stdout)
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, answer); err == nil {
		udp.WriteToUDPAddrPort(answer, from)
	}
}

func (g *Guest) serveConnections(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			s, err := g.port.Open(wire.Request{Op: wire.OpName, Network: "tcp"})
			if err != nil {
				return
			}
			defer s.Close()
			wire.Join(s, c)
		}()
	}
}
