package netns

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const mbit = 1_000_000

// flow is a stream of datagrams from one place to another, far more than a limit
// lets through; nobody listens.
type flow struct {
	from *os.File
	addr string
}

// meter is an interface that counts what arrives.
type meter struct {
	ns   *os.File
	name string
}

// frame is the size of a datagram of flood with its headers.
const frame = 1400 + 8 + 20 + 14

// near insists on a rate within a tenth, which a machine that is busy with other
// things may measure at another try only.
func (l *lab) near(what string, want float64, meters []meter, flows ...flow) {
	l.t.Helper()
	var got []string
	for range 8 {
		bits := l.rate(meters, flows...)
		if math.Abs(bits-want) <= want/10 {
			return
		}
		got = append(got, fmt.Sprintf("%.2f", bits/mbit))
	}
	l.t.Errorf("%s: %v Mbit/s, want %.2f", what, got, want/mbit)
}

// rate runs flows side by side and returns what the meters see together, in bits per
// second, once queues are full and bursts are over.
func (l *lab) rate(meters []meter, flows ...flow) float64 {
	l.t.Helper()
	const settle, measure = 300 * time.Millisecond, time.Second
	var running sync.WaitGroup
	var conns []net.Conn
	for _, f := range flows {
		var out net.Conn
		var err error
		l.in(f.from, func() { out, err = net.Dial("udp4", f.addr) })
		must(l.t, err)
		conns = append(conns, out)
		running.Go(func() { flood(out) })
	}
	time.Sleep(settle)
	begin, before := time.Now(), l.arrived(meters)
	time.Sleep(measure)
	bits := float64(l.arrived(meters)-before) * 8 / time.Since(begin).Seconds()
	for _, c := range conns {
		c.Close()
	}
	running.Wait()
	return bits
}

func (l *lab) arrived(meters []meter) (bytes int) {
	l.t.Helper()
	for _, m := range meters {
		n, _ := l.received(m)
		bytes += n
	}
	return bytes
}

// received are the bytes and packets that an interface counts.
func (l *lab) received(m meter) (bytes, packets int) {
	l.t.Helper()
	l.in(m.ns, func() {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		must(l.t, err)
		_, line, _ := strings.Cut(string(text), m.name+":")
		_, err = fmt.Sscan(line, &bytes, &packets)
		must(l.t, err)
	})
	return bytes, packets
}

// flood sends some 200 Mbit/s until the socket is closed.
func flood(out net.Conn) {
	b := make([]byte, 1400)
	begin := time.Now()
	for sent := 0; ; {
		for due := int(time.Since(begin).Seconds() * 200 * mbit / 8 / frame); sent < due; sent++ {
			if _, err := out.Write(b); errors.Is(err, net.ErrClosed) {
				return
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// limited is a project with two containers on one network.
type limited struct {
	*lab
	h      *Host
	net    Network
	a, b   container
	la, lb Lease
	want   Config
}

func newLimited(t *testing.T, machine *lab, whole, ofA Bandwidth) *limited {
	l := &limited{lab: machine, net: network("slow", "front")}
	l.net.Bandwidth = whole
	l.h, l.a, l.b = l.open("slow"), l.container("a"), l.container("b")
	l.want = Config{Networks: []Network{l.net}, Endpoints: append(endpoints("a", l.net), endpoints("b", l.net)...)}
	l.want.Endpoints[0].Bandwidth = ofA
	must(t, l.h.Apply(t.Context(), l.want))
	for i, c := range []container{l.a, l.b} {
		leases, err := l.h.Attach(t.Context(), l.want.Endpoints[i:i+1], c.pid)
		must(t, err)
		if i == 0 {
			l.la = leases[0]
		} else {
			l.lb = leases[0]
		}
	}
	return l
}

func (l *limited) gateway() string {
	return strings.Fields(l.cmd("ip -4 -br addr show " + BridgeName(l.net.ID)))[2]
}

// to and from are flows between the host and a container.
func (l *limited) to(lease Lease) flow { return flow{l.host, at(lease.IPv4, 7000)} }

func (l *limited) from(c container) flow {
	gw, _, _ := strings.Cut(l.gateway(), "/")
	return flow{c.ns, gw + ":7000"}
}

func (l *limited) atA() meter    { return meter{l.a.ns, "eth0"} }
func (l *limited) atB() meter    { return meter{l.b.ns, "eth0"} }
func (l *limited) atHost() meter { return meter{l.host, BridgeName(l.net.ID)} }

func TestBandwidthOfEndpoint(t *testing.T) {
	t.Parallel()
	l := newLimited(t, newLab(t), Bandwidth{}, Bandwidth{Ingress: 10 * mbit, Egress: 10 * mbit})
	a, b, host := []meter{l.atA()}, []meter{l.atB()}, []meter{l.atHost()}
	l.near("into the container", 10*mbit, a, l.to(l.la))
	l.near("out of the container", 10*mbit, host, l.from(l.a))
	l.near("from its neighbour", 10*mbit, a, flow{l.b.ns, at(l.la.IPv4, 7000)})
	l.near("to its neighbour", 10*mbit, b, flow{l.a.ns, at(l.lb.IPv4, 7000)})
	if free := l.rate(b, l.to(l.lb)); free < 20*mbit { // of the 200 that are sent
		t.Errorf("a neighbour without a limit gets %.0f Mbit/s", free/mbit)
	}
	// Nothing stays of the limits when the only one who has one goes.
	if !strings.Contains(l.cmd("ip link"), shaperName(l.net.ID, egress)) {
		t.Error("the shaper has another name")
	}
	must(t, l.h.Detach(t.Context(), "a"))
	if left := l.cmd("ip link show type ifb; tc qdisc show dev " + l.lb.Link + " clsact"); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestBandwidthOfNetwork(t *testing.T) {
	t.Parallel()
	l := newLimited(t, newLab(t), Bandwidth{Ingress: 10 * mbit, Egress: 10 * mbit}, Bandwidth{Ingress: 3 * mbit, Egress: 3 * mbit})
	a, both, host := []meter{l.atA()}, []meter{l.atA(), l.atB()}, []meter{l.atHost()}
	l.near("into both containers", 10*mbit, both, l.to(l.la), l.to(l.lb))
	l.near("into the one with a limit of its own", 3*mbit, a, l.to(l.la), l.to(l.lb))
	l.near("out of both containers", 10*mbit, host, l.from(l.a), l.from(l.b))
	l.near("out of the one with a limit of its own", 3*mbit, host, l.from(l.a))
}

func TestBandwidthIsRepaired(t *testing.T) {
	machine := newLab(t)
	before := machine.picture()
	l := newLimited(t, machine, Bandwidth{Egress: 50 * mbit}, Bandwidth{Ingress: 20 * mbit})
	live := map[string]int{"a": l.a.pid, "b": l.b.pid}
	in, out := shaperName(l.net.ID, ingress), shaperName(l.net.ID, egress)
	broken := func() string {
		seen, err := l.h.Observe(t.Context(), live)
		must(t, err)
		return strings.Trim(fmt.Sprint(seen.Broken), "[]")
	}
	class := fmt.Sprintf("1:%x", portMinor(l.index(l.la.Link)))
	for _, harm := range []string{
		"ip link del " + in,
		"ip link set " + out + " down",
		"tc qdisc del dev " + in + " root",
		"tc qdisc del dev " + l.la.Link + " clsact",
		"tc qdisc del dev " + l.lb.Link + " clsact",
		"tc filter del dev " + l.lb.Link + " ingress",
		"tc filter del dev " + out + " parent 1:",
		"tc class change dev " + out + " parent 1: classid 1:ffff htb rate 1gbit",
		"tc class change dev " + in + " parent 1:ffff classid " + class + " htb rate 1gbit",
	} {
		l.cmd(harm)
		if got := broken(); !strings.Contains(got, "limit of network slow_front is not in force") {
			t.Errorf("after %s Observe says %q", harm, got)
		}
		must(t, l.h.Apply(t.Context(), l.want))
		if got := broken(); got != "" {
			t.Errorf("after %s and repair Observe says %q", harm, got)
		}
	}
	// Limits change while containers run, and go.
	l.want.Endpoints[0].Bandwidth.Ingress = 30 * mbit
	l.want.Networks[0].Bandwidth = Bandwidth{}
	must(t, l.h.Apply(t.Context(), l.want))
	if got := broken(); got != "" {
		t.Errorf("after the change Observe says %q", got)
	}
	if got := l.cmd("tc class show dev " + in); !strings.Contains(got, "ceil 30Mbit") {
		t.Errorf("classes after the change: %s", got)
	}
	if got := l.cmd("ip link show type ifb"); strings.Contains(got, out) {
		t.Errorf("a shaper that nothing needs is left: %s", got)
	}
	l.serve(l.a.ns, ":80", "a")
	l.reaches("a container with new limits", l.host, at(l.la.IPv4, 80), "a")
	must(t, l.h.Remove(t.Context()))
	if after := l.picture(); after != before {
		t.Errorf("left:\n%s\nwant:\n%s", after, before)
	}
}

// index is that of a link on the host.
func (l *lab) index(name string) (index int) {
	l.in(l.host, func() {
		i, err := net.InterfaceByName(name)
		must(l.t, err)
		index = i.Index
	})
	return index
}
