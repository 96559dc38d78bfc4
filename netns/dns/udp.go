package dns

import (
	"errors"
	"net"
	"time"
)

// maxQuery is more than any query has: names end at 255 bytes, and nobody sends
// more EDNS options than this.
const maxQuery = 4096

// serveUDP reads queries until the socket is closed.
func (c *client) serveUDP() {
	buf := make([]byte, maxQuery)
	for {
		n, from, err := c.udp.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) || c.ctx.Err() != nil {
			return
		}
		if err != nil {
			c.server.log.Warn("cannot read a name query", "container", c.container, "error", err)
			if !c.pause() {
				return
			}
			continue
		}
		c.queryUDP(buf[:n], from)
	}
}

// queryUDP answers one query, in a goroutine of its own if it is to be forwarded.
func (c *client) queryUDP(data []byte, from net.Addr) {
	q, reply := parse(data)
	if q == nil {
		c.sendUDP(reply, from)
		return
	}
	q.maxReply = q.udpSize()
	if msg := c.server.local(c.container, q); msg != nil {
		c.sendUDP(q.pack(msg), from)
		return
	}
	select {
	case c.slots <- struct{}{}:
	default:
		c.sendUDP(q.pack(q.failure()), from)
		return
	}
	c.running.Go(func() {
		defer func() { <-c.slots }()
		c.sendUDP(q.pack(c.forward(q, false)), from)
	})
}

// sendUDP sends what there is to send. Nobody is told about a failure: the client
// asks again.
func (c *client) sendUDP(reply []byte, to net.Addr) {
	if len(reply) == 0 {
		return
	}
	c.udp.SetWriteDeadline(time.Now().Add(time.Second))
	c.udp.WriteTo(reply, to)
}
