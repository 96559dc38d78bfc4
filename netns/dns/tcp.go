package dns

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

const (
	// maxConns bounds a container's TCP connections.
	maxConns = 32
	// idleTimeout is how long a connection may be silent: RFC 7766 §6.2.3 asks for
	// a few seconds.
	idleTimeout = 10 * time.Second
)

// serveTCP accepts connections until the listener is closed.
func (c *client) serveTCP() {
	for {
		conn, err := c.tcp.Accept()
		if errors.Is(err, net.ErrClosed) || c.ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			c.server.log.Warn("cannot accept a name query", "container", c.container, "error", err)
			if !c.pause() {
				return
			}
			continue
		}
		select {
		case c.conns <- struct{}{}:
			c.running.Go(func() {
				defer func() { <-c.conns }()
				c.serveConn(conn)
			})
		default:
			conn.Close()
		}
	}
}

// serveConn answers the queries of one connection, one after another.
func (c *client) serveConn(conn net.Conn) {
	defer conn.Close()
	stop := onDone(c.ctx, func() { conn.Close() })
	defer stop()
	for {
		conn.SetDeadline(time.Now().Add(idleTimeout))
		data, err := readFrame(conn, maxQuery)
		if err != nil {
			return
		}
		reply := c.queryTCP(data)
		if reply == nil {
			return
		}
		conn.SetDeadline(time.Now().Add(idleTimeout))
		if err := writeFrame(conn, reply); err != nil {
			return
		}
	}
}

func (c *client) queryTCP(data []byte) []byte {
	q, reply := parse(data)
	if q == nil {
		return reply
	}
	q.maxReply = maxMessage
	if msg := c.server.local(c.container, q); msg != nil {
		return q.pack(msg)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
		return q.pack(c.forward(q, true))
	default:
		return q.pack(q.failure())
	}
}

// readFrame reads a message of at most limit bytes with its length before it: RFC
// 1035 §4.2.2.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > limit {
		return nil, errors.New("the message is too long")
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, err
}

func writeFrame(w io.Writer, data []byte) error {
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(data)), uint16(len(data)))
	_, err := w.Write(append(frame, data...))
	return err
}
