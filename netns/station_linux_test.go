package netns

import (
	"net"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// What is meant for a container that never sent anything reaches no other; nor does
// one that sends with another's address get what is meant for that.
func TestBridgeKnowsWhereContainersAre(t *testing.T) {
	l := newLimited(t, newLab(t), Bandwidth{}, Bandwidth{})
	send := func(n int) {
		l.in(l.host, func() {
			c, err := net.Dial("udp4", at(l.la.IPv4, 7000))
			must(t, err)
			defer c.Close()
			for range n {
				c.Write([]byte("for a"))
			}
		})
	}
	_, before := l.received(l.atB())
	send(100)
	if _, got := l.received(l.atB()); got-before >= 100 {
		t.Errorf("b received %d packets that were meant for a", got-before)
	}
	l.in(l.b.ns, func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		mac, err := net.ParseMAC(l.la.MAC)
		must(t, err)
		must(t, netlink.LinkSetHardwareAddr(link, mac))
		c, err := net.Dial("udp4", strings.Split(l.gateway(), "/")[0]+":9")
		must(t, err)
		defer c.Close()
		for range 10 {
			c.Write([]byte("as a"))
		}
	})
	_, before = l.received(l.atA())
	send(100)
	if _, got := l.received(l.atA()); got-before < 100 {
		t.Errorf("a received %d of 100 packets after b took its address", got-before)
	}
	// Still so after the link was put back on its bridge.
	l.cmd("ip link set " + l.la.Link + " nomaster")
	must(t, l.h.Apply(t.Context(), l.want))
	if got := l.cmd("bridge fdb show dev " + l.la.Link); !strings.Contains(got, l.la.MAC+" sticky master "+BridgeName(l.net.ID)+" static") {
		t.Errorf("the bridge has for a: %s", got)
	}
}
