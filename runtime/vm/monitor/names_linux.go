package monitor

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"time"

	"stack/runtime/vm/wire"
)

// resolveTime bounds one query.
const resolveTime = 10 * time.Second

// askResolver passes the guest's query on to the resolver in this namespace. Over the
// stream each message has its length before it, as in TCP.
func askResolver(s *wire.Stream, network string, at netip.Addr) {
	if !at.IsValid() || network != "udp" && network != "tcp" {
		return
	}
	c, err := net.DialTimeout(network, netip.AddrPortFrom(at, 53).String(), resolveTime)
	if err != nil {
		return
	}
	defer c.Close()
	if network == "tcp" {
		wire.Join(s, c)
		return
	}
	c.SetDeadline(time.Now().Add(resolveTime))
	var size [2]byte
	in := s.Reader(wire.Stdin)
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(in, query); err != nil {
		return
	}
	if _, err := c.Write(query); err != nil {
		return
	}
	answer := make([]byte, 64<<10)
	n, err := c.Read(answer[2:])
	if err != nil {
		return
	}
	binary.BigEndian.PutUint16(answer, uint16(n))
	s.Writer(wire.Stdout).Write(answer[:2+n])
}
