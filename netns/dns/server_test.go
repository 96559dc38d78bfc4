package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestServeAndDrop(t *testing.T) {
	s, first := start(t, Options{Source: &fakeSource{names: testNames}})
	udp, tcp := listen(t)
	second := udp.LocalAddr().String()
	if err := s.Serve("c1", udp, tcp); err != nil { // replaces
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", first); err == nil {
		t.Error("the replaced sockets are open")
	}
	conn, err := net.Dial("tcp", second) // idle
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if m := ask(t, "tcp", second, "four.", dns.TypeA); answers(m) != "10.0.0.9" {
		t.Errorf("%v", m)
	}
	s.Drop("c1")
	s.Drop("c1")
	conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the connection outlived Drop: %v", err)
	}
	s.Close()
	udp, tcp = listen(t)
	if err := s.Serve("c1", udp, tcp); err == nil {
		t.Error("a closed server serves")
	}
}

func TestDropWhileForwarding(t *testing.T) {
	asked := make(chan struct{}, 10)
	up := upstream(t, func(*dns.Msg, bool) *dns.Msg { asked <- struct{}{}; return nil })
	s, server := start(t, Options{Source: &fakeSource{upstreams: Upstreams{Servers: []netip.AddrPort{up}}}, Timeout: time.Minute})
	conn, _ := net.Dial("udp", server)
	defer conn.Close()
	data, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).Pack()
	conn.Write(data)
	<-asked
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() { s.Drop("c1"); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("Drop waits for the upstream")
	}
}

func TestConnectionBound(t *testing.T) {
	_, server := start(t, Options{Source: &fakeSource{names: testNames}})
	refused := 0
	for range maxConns + 5 {
		conn, err := net.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		data, _ := new(dns.Msg).SetQuestion("four.", dns.TypeA).Pack()
		writeFrame(conn, data)
		conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		if _, err := readFrame(conn, maxMessage); err != nil {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d connections refused, want 5", refused)
	}
}

func TestMemory(t *testing.T) {
	const containers = 200
	s := NewServer(Options{Source: &fakeSource{names: testNames}})
	defer s.Close()
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := used()
	var addrs []string
	for i := range containers {
		udp, tcp := listen(t)
		if err := s.Serve(fmt.Sprint(i), udp, tcp); err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, udp.LocalAddr().String())
	}
	var wg sync.WaitGroup
	for _, a := range addrs {
		wg.Go(func() { ask(t, "udp", a, "web.", dns.TypeA) })
	}
	wg.Wait()
	if each := int64(used()-before) / containers; each > 50<<10 {
		t.Errorf("%d bytes a container", each)
	} else {
		t.Logf("%d bytes a container", each)
	}
}
