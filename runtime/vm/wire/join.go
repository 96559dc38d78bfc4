package wire

import (
	"io"
	"net"
)

// Join copies between a connection and a stream on which the other side's bytes are
// standard input, until both directions have ended.
func Join(s *Stream, c net.Conn) { join(s, c, Stdin, Stdout) }

// JoinClient is Join on the side that asked.
func JoinClient(s *Stream, c net.Conn) { join(s, c, Stdout, Stdin) }

func join(s *Stream, c net.Conn, in, out Channel) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(c, s.Reader(in))
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		} else {
			c.Close()
		}
	}()
	w := s.Writer(out)
	io.Copy(w, c)
	w.Close()
	<-done
}
