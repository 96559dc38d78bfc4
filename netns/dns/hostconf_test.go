package dns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

func TestHostServers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "resolv.conf")
	h := &hostServers{file: name}
	write := func(text string) {
		os.WriteFile(name+".new", []byte(text), 0o644)
		os.Rename(name+".new", name)
	}
	want := func(want string) {
		t.Helper()
		if got := fmt.Sprint(h.servers()); got != want {
			t.Errorf("servers %s, want %s", got, want)
		}
	}
	want("[127.0.0.1:53]")
	write("# x\nsearch a b\nnameserver 127.0.0.53\nnameserver bad\n  nameserver fe80::1%lo # c\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n")
	want("[127.0.0.53:53 [fe80::1%lo]:53 1.1.1.1:53]")
	write("nameserver 9.9.9.9\n")
	want("[9.9.9.9:53]")
	os.Remove(name)
	want("[9.9.9.9:53]")
	write("")
	want("[127.0.0.1:53]")
}

func TestHostUpstream(t *testing.T) {
	s, server := start(t, Options{Source: &fakeSource{}})
	up := upstream(t, fixed(1))
	h := s.forward.host
	h.mu.Lock()
	h.file = filepath.Join(t.TempDir(), "absent")
	h.list = []netip.AddrPort{up} // port 53 cannot be had here
	h.mu.Unlock()
	if m := ask(t, "udp", server, "example.com.", dns.TypeA); answers(m) != "192.0.0.0" {
		t.Errorf("%v", m)
	}
}

func TestResolvConf(t *testing.T) {
	for _, c := range []struct {
		search, options []string
		want            string
	}{
		{nil, nil, "nameserver 127.0.0.11\noptions ndots:0\n"},
		{[]string{"a.example", "b.example"}, []string{"timeout:1"}, "nameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:0 timeout:1\n"},
		{nil, []string{"ndots:2"}, "nameserver 127.0.0.11\noptions ndots:2\n"},
		{[]string{"a\nnameserver 6.6.6.6"}, nil, "nameserver 127.0.0.11\nsearch a nameserver 6.6.6.6\noptions ndots:0\n"},
	} {
		if got := string(ResolvConf(c.search, c.options)); got != c.want {
			t.Errorf("%v %v:\n%swant\n%s", c.search, c.options, got, c.want)
		}
	}
}
