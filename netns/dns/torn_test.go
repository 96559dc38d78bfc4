package dns

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// TestUnreadableNames: while nobody can tell what a name is, the client is to ask again;
// another server would say that there is no such name.
func TestUnreadableNames(t *testing.T) {
	up := upstream(t, rcode(dns.RcodeNameError))
	_, server := start(t, Options{Source: &fakeSource{names: testNames, upstreams: Upstreams{Servers: []netip.AddrPort{up}}}})
	for _, network := range []string{"udp", "tcp"} {
		if m := ask(t, network, server, "torn.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
			t.Errorf("%s: %s", network, dns.RcodeToString[m.Rcode])
		}
		if m := ask(t, network, server, "gone.", dns.TypeA); m.Rcode != dns.RcodeNameError {
			t.Errorf("%s: the upstream says %s", network, dns.RcodeToString[m.Rcode])
		}
	}
}
