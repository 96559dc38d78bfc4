package scheduler

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"stack/netns"
)

// HostNetwork is the Network that a real machine is.
type HostNetwork struct{ *netns.Host }

var _ Network = HostNetwork{}

// Lookup finds a network by name.
func (h HostNetwork) Lookup(name string) (netns.Network, bool, error) {
	n, err := h.Host.Lookup(name)
	if errors.Is(err, netns.ErrNotFound) {
		return netns.Network{}, false, nil
	}
	return n, err == nil, err
}

// A port that is taken is tried again for a moment: a Preflight elsewhere binds what
// it looks at, and a container that was just replaced lets go.
const (
	reserveTries = 6
	reserveWait  = 20 * time.Millisecond
)

// Reserve binds a published port, choosing it when HostPort is 0.
func (h HostNetwork) Reserve(p netns.Port) (netns.Port, *os.File, error) {
	if p.HostPort != 0 {
		f, err := h.Host.Reserve(p)
		for try := 1; try < reserveTries && errors.Is(err, syscall.EADDRINUSE); try++ {
			time.Sleep(reserveWait)
			f, err = h.Host.Reserve(p)
		}
		return p, f, err
	}
	var err error
	for range 100 {
		if p.HostPort, err = freePort(p.Protocol); err != nil {
			return p, nil, err
		}
		var f *os.File
		if f, err = h.Host.Reserve(p); err == nil {
			return p, f, nil
		}
	}
	return p, nil, fmt.Errorf("cannot find a free port: %w", err)
}

// freePort lets the kernel choose; whoever reserves it must be ready to lose it.
func freePort(protocol string) (uint16, error) {
	var addr net.Addr
	if protocol == "udp" {
		c, err := net.ListenPacket("udp", ":0")
		if err != nil {
			return 0, err
		}
		defer c.Close()
		addr = c.LocalAddr()
	} else {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			return 0, err
		}
		defer l.Close()
		addr = l.Addr()
	}
	_, text, err := net.SplitHostPort(addr.String())
	if err != nil {
		return 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return uint16(port), err
}
