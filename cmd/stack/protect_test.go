package main

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// neighbour is another machine on the host's LAN: a network namespace that routes
// everything through the host.
type neighbour struct{ name, host string }

// newNeighbour makes one on 10.183.n.0/24; the host is .1, the neighbour .2.
func newNeighbour(t *testing.T, n int) neighbour {
	t.Helper()
	b := neighbour{name: fmt.Sprint("st-nb-", n), host: fmt.Sprintf("10.183.%d.1", n)}
	link := fmt.Sprint("st-nb", n)
	// What a killed run left would be in the way; the name is this test's alone.
	_ = exec.Command("ip", "netns", "del", b.name).Run()
	_ = exec.Command("ip", "link", "del", link).Run()
	ip(t, "netns", "add", b.name)
	t.Cleanup(func() {
		ip(t, "link", "del", link)
		ip(t, "netns", "del", b.name)
	})
	ip(t, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", b.name)
	ip(t, "addr", "add", b.host+"/24", "dev", link)
	ip(t, "link", "set", link, "up")
	ip(t, "-n", b.name, "addr", "add", fmt.Sprintf("10.183.%d.2/24", n), "dev", "eth0")
	ip(t, "-n", b.name, "link", "set", "eth0", "up")
	ip(t, "-n", b.name, "link", "set", "lo", "up")
	ip(t, "-n", b.name, "route", "add", "default", "via", b.host)
	return b
}

func ip(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ask connects from the neighbour and returns what is sent.
func (b neighbour) ask(address string) (string, error) {
	out, err := exec.Command("ip", "netns", "exec", b.name, "perl", "-e", asking, address).CombinedOutput()
	return string(out), err
}

// asking is a client: it prints what a server sends by itself.
const asking = `use IO::Socket::INET; alarm 3; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 1) or die "$@\n"; print <$s>`

const guarded = `
x-base: &base
  image: rootfs:/
  init: true
  command: ["perl", "-e", "use IO::Socket::INET; my $$s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1); my $$u = IO::Socket::INET->new(LocalPort => 81, Listen => 9, ReuseAddr => 1); while (my $$c = $$s->accept) { print $$c 'here'; close $$c }"]
  healthcheck:
    test: ["CMD", "perl", "-e", "use IO::Socket::INET; exit !IO::Socket::INET->new('127.0.0.1:80')"]
services:
  open:
    <<: *base
    ports: ["18340:80"]
    networks: {net: {ipv4_address: 10.183.31.10}}
  other:
    <<: *base
    networks: {second: {ipv4_address: 10.183.32.10}}
  closed:
    <<: *base
    networks: {inner: {ipv4_address: 10.183.33.10}}
networks:
  net: {ipam: {config: [{subnet: 10.183.31.0/24}]}}
  second: {ipam: {config: [{subnet: 10.183.32.0/24}]}}
  inner: {internal: true, ipam: {config: [{subnet: 10.183.33.0/24}]}}
`

// TestProtections tries what must not be possible, each beside the nearest thing
// that must be.
func TestProtections(t *testing.T) {
	t.Parallel()
	p := newProject(t, guarded)
	b := newNeighbour(t, 30)
	p.run("up", "-d", "--wait")

	t.Run("neighbour", func(t *testing.T) {
		if out, err := b.ask(b.host + ":18340"); out != "here" {
			t.Errorf("published port: %v: %s", err, out)
		}
		for _, address := range []string{"10.183.31.10:80", "10.183.31.10:81", "10.183.32.10:80", "10.183.33.10:80"} {
			if out, err := b.ask(address); err == nil {
				t.Errorf("%s answers without being published: %q", address, out)
			}
		}
	})
	t.Run("between networks", func(t *testing.T) {
		for _, from := range []string{"open", "closed"} {
			if out, err := p.try("exec", "-T", from, "perl", "-e", asking, "10.183.32.10:80"); err == nil {
				t.Errorf("from %s another network answers: %q", from, out)
			}
		}
		if out, err := p.try("exec", "-T", "other", "perl", "-e", asking, "10.183.32.1:18340"); out != "here" {
			t.Errorf("the published port from another network: %v: %q", err, out)
		}
	})
	t.Run("internal to host", func(t *testing.T) {
		l := greeter(t, ":18341")
		defer l.Close()
		if out, err := p.try("exec", "-T", "open", "perl", "-e", asking, "10.183.31.1:18341"); out != "host" {
			t.Errorf("the host from an ordinary network: %v: %q", err, out)
		}
		for _, address := range []string{"10.183.33.1:18341", "10.183.31.1:18341", b.host + ":18341", "10.183.33.1:18340"} {
			if out, err := p.try("exec", "-T", "closed", "perl", "-e", asking, address); err == nil {
				t.Errorf("%s from an internal network answers: %q", address, out)
			}
		}
	})
	t.Run("loopback", func(t *testing.T) { p.testLoopback(t) })
}

func greeter(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "host")
			c.Close()
		}
	}()
	return l
}

// frame sends one UDP datagram to MAC, address and port, built by hand: what no
// routing table would do.
const frame = `
my ($to, $dst, $port) = @ARGV;
my ($index, $mac) = map { open my $f, '<', "/sys/class/net/eth0/$_" or die $!; my $l = <$f>; chomp $l; $l } qw(ifindex address);
my $hex = sub { pack 'H12', $_[0] =~ tr/://dr };
my $addr = sub { pack 'C4', split /\./, $_[0] };
my $data = "hello $dst";
my $udp = pack 'n4', 18342, $port, 8 + length $data, 0;
my $head = pack('CCnnnCCn', 0x45, 0, 28 + length $data, 1, 0, 64, 17, 0) . $addr->('10.183.31.10') . $addr->($dst);
my $sum = 0; $sum += $_ for unpack 'n*', $head;
$sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
substr($head, 10, 2) = pack 'n', ~$sum & 0xffff;
socket my $s, 17, 3, 0 or die "socket: $!";
send $s, $hex->($to) . $hex->($mac) . pack('n', 0x800) . $head . $udp . $data, 0,
  pack('SnlSCCa8', 17, 0x800, $index, 1, 0, 6, $hex->($to)) or die "send: $!";
`

// testLoopback sends raw frames for the host's loopback addresses to the bridge,
// which routes them as long as route_localnet is on for published ports.
func (p *project) testLoopback(t *testing.T) {
	neighbours := p.run("exec", "-T", "open", "ip", "neigh", "show", "10.183.31.1")
	_, rest, _ := strings.Cut(neighbours, "lladdr ")
	mac, _, ok := strings.Cut(rest, " ")
	if !ok {
		t.Fatalf("the gateway has no MAC: %q", neighbours)
	}
	hear := func(listen, dst string) bool {
		t.Helper()
		c, err := net.ListenPacket("udp4", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		port := fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port)
		if out, err := p.try("exec", "-T", "open", "perl", "-e", frame, mac, dst, port); err != nil {
			t.Fatalf("cannot send a frame: %v: %s", err, out)
		}
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		b := make([]byte, 100)
		n, _, err := c.ReadFrom(b)
		return err == nil && string(b[:n]) == "hello "+dst
	}
	if !hear("0.0.0.0:0", "10.183.31.1") {
		t.Error("a frame to the gateway does not arrive: the test proves nothing")
	}
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0", "127.0.0.77:0"} {
		dst, _, _ := net.SplitHostPort(strings.Replace(listen, "0.0.0.0", "127.0.0.1", 1))
		if hear(listen, dst) {
			t.Errorf("a frame from a container reaches %s on the host", dst)
		}
	}
}
