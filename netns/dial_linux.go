package netns

import (
	"context"
	"fmt"
	"net"
)

// Dial connects to a literal address inside the network namespace of a process,
// which may be the host's own. The connection stays there; the thread that made it
// comes back.
func (h *Host) Dial(ctx context.Context, pid int, network, address string) (c net.Conn, err error) {
	s, err := openSpace(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.here = s.id == h.home.id
	err = h.run(s, func() error {
		var d net.Dialer // with one literal address it stays on this thread
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}
