package netns

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestProxiesAreBounded: a flood at one port holds no more than there is room for, and
// who waited is served when another goes.
func TestProxiesAreBounded(t *testing.T) {
	echo := listenTCP(t)
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	to := func() (netip.AddrPort, bool) { return echo.Addr().(*net.TCPAddr).AddrPort(), true }
	l := listenTCP(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ProxyTCP(ctx, l, to, NewClients(2)) }()

	first, second, third := dialEcho(t, l), dialEcho(t, l), dialEcho(t, l)
	answers(t, first)
	answers(t, second)
	third.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third client was served where there is room for two")
	}
	first.Close()
	answers(t, third)
	cancel()
	if err := <-done; err != context.Canceled {
		t.Error(err)
	}
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dialEcho connects and sends a byte.
func dialEcho(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	return c
}

// answers waits for the byte to come back.
func answers(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}
