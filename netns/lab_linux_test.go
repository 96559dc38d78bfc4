package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lab is a machine of its own: a network namespace with loopback and, as its
// uplink, a cable to a neighbour machine, which is another namespace.
//
//	neighbour 198.51.100.2 ──── 198.51.100.1 host (eth0)
type lab struct {
	t               testing.TB
	host, neighbour *os.File
	state           string
}

const (
	hostAddr, neighbourAddr   = "198.51.100.1", "198.51.100.2"
	hostAddr6, neighbourAddr6 = "2001:db8::1", "2001:db8::2"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal("needs root, and STACK_TEST_STRICT is set")
	}
	t.Skip("needs root for network namespaces")
}

func newLab(t testing.TB) *lab {
	needRoot(t)
	l := &lab{t: t, host: newNamespace(t), neighbour: newNamespace(t), state: t.TempDir() + "/networks"}
	l.in(l.host, func() {
		must(t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(l.neighbour.Fd()),
		}))
		addressLink(t, "lo", "")
		addressLink(t, "eth0", hostAddr+"/24", hostAddr6+"/64")
		l.sysctl("net.ipv4.ip_forward", "0")
	})
	l.in(l.neighbour, func() {
		addressLink(t, "lo", "")
		addressLink(t, "eth0", neighbourAddr+"/24", neighbourAddr6+"/64")
	})
	l.plugged(l.host, "eth0")
	return l
}

// plugged makes sure that the first side of a cable knows that the other is up.
func (l *lab) plugged(ns *os.File, name string) {
	l.in(ns, func() {
		s, err := openRtnl()
		must(l.t, err)
		defer s.Close()
		_, err = s.do(settle(name))
		must(l.t, err)
	})
}

func newNamespace(t testing.TB) *os.File {
	t.Helper()
	type made struct {
		f   *os.File
		err error
	}
	ch := make(chan made)
	offMain(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- made{nil, err}
			return
		}
		// Addresses are good at once, not after a second of looking for others.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/dad_transmits", []byte("0"), 0); err != nil {
			ch <- made{nil, err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		ch <- made{f, err}
	})
	m := <-ch
	must(t, m.err)
	t.Cleanup(func() { m.f.Close() })
	return m.f
}

func addressLink(t testing.TB, name string, addrs ...string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(l))
	for _, a := range addrs {
		if a != "" {
			p, err := netlink.ParseAddr(a)
			must(t, err)
			p.Flags = unix.IFA_F_NODAD
			must(t, netlink.AddrAdd(l, p))
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// in runs fn on a thread of the namespace, which dies afterwards.
func (l *lab) in(ns *os.File, fn func()) {
	l.t.Helper()
	done := make(chan error)
	offMain(func() {
		defer close(done)
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		fn()
	})
	must(l.t, <-done)
}

func (l *lab) path(ns *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd()) }

func (l *lab) open(project string) *Host {
	l.t.Helper()
	h, err := Open(Options{State: l.state, Project: project, NetNS: l.path(l.host)})
	must(l.t, err)
	l.t.Cleanup(func() { h.Close() })
	return h
}

// cmd runs a command in the host's namespace and returns its output.
func (l *lab) cmd(line string) string {
	l.t.Helper()
	out, err := l.try(line)
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

func (l *lab) try(line string) (string, error) {
	out, err := exec.Command("nsenter", "--net="+l.path(l.host), "sh", "-c", line).CombinedOutput()
	return string(out), err
}

func (l *lab) sysctl(name, value string) {
	l.t.Helper()
	must(l.t, os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0))
}

// container is a process in user and network namespaces of its own.
type container struct {
	id  string
	pid int
	ns  *os.File
}

func (l *lab) container(id string) container {
	l.t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}},
	}
	must(l.t, cmd.Start())
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	must(l.t, err)
	l.t.Cleanup(func() {
		ns.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return container{id, cmd.Process.Pid, ns}
}

// attach plugs a container into networks, eth0 first.
func (l *lab) attach(h *Host, c container, networks ...Network) []Lease {
	l.t.Helper()
	leases, err := h.Attach(context.Background(), endpoints(c.id, networks...), c.pid)
	must(l.t, err)
	return leases
}

func endpoints(id string, networks ...Network) (out []Endpoint) {
	for i, n := range networks {
		out = append(out, Endpoint{
			Container: id, Network: n.ID, IfName: fmt.Sprintf("eth%d", i), Default: i == 0 && !n.Internal,
		})
	}
	return out
}

func network(project, key string) Network {
	return Network{ID: NetworkID(project, key), Name: project + "_" + key, Project: project, Masquerade: true, Size: 10}
}

// serve answers TCP clients and UDP datagrams with the text and the client's
// address, from a socket in ns.
func (l *lab) serve(ns *os.File, addr, text string) {
	l.t.Helper()
	l.in(ns, func() {
		tcp, err := net.Listen("tcp", addr)
		must(l.t, err)
		udp, err := net.ListenPacket("udp", addr)
		must(l.t, err)
		l.t.Cleanup(func() { tcp.Close(); udp.Close() })
		go func() {
			for {
				c, err := tcp.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s %s", text, c.RemoteAddr())
				c.Close()
			}
		}()
		go func() {
			b := make([]byte, 1500)
			for {
				_, from, err := udp.ReadFrom(b)
				if err != nil {
					return
				}
				udp.WriteTo([]byte(text+" "+from.String()), from)
			}
		}()
	})
}

// How long to wait for what must be answered, and for what must not.
const (
	patience   = 20 * time.Second
	impatience = 200 * time.Millisecond
)

// ask connects from ns and returns the answer.
func (l *lab) ask(ns *os.File, protocol, addr string, timeout time.Duration) (answer string, err error) {
	l.t.Helper()
	answer, _, err = l.exchange(ns, protocol, addr, timeout)
	return answer, err
}

// exchange is ask, and tells how many packets TCP sent again.
func (l *lab) exchange(ns *os.File, protocol, addr string, timeout time.Duration) (answer string, again int, err error) {
	l.t.Helper()
	l.in(ns, func() {
		var c net.Conn
		c, err = net.DialTimeout(protocol, addr, timeout)
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(timeout))
		if protocol == "udp" {
			c.Write([]byte("?"))
			b := make([]byte, 1500)
			var n int
			n, err = c.Read(b)
			answer = string(b[:n])
			return
		}
		var b []byte
		b, err = io.ReadAll(c)
		answer, again = string(b), sentAgain(l.t, c)
	})
	return answer, again, err
}

// reaches insists on an answer that begins with text, and that no packet is lost
// on the way: a datagram is not sent again, and what TCP sends again is counted.
func (l *lab) reaches(what string, ns *os.File, addr, text string) {
	l.t.Helper()
	if again := l.answers(what, ns, addr, text); again > 0 {
		l.t.Errorf("%s: %s: %d packets were lost", what, addr, again)
	}
}

// answers insists on an answer only, and returns how many packets were sent again.
func (l *lab) answers(what string, ns *os.File, addr, text string) (again int) {
	l.t.Helper()
	for _, protocol := range []string{"tcp", "udp"} {
		got, n, err := l.exchange(ns, protocol, addr, patience)
		if err != nil || !strings.HasPrefix(got, text+" ") {
			l.t.Errorf("%s: %s %s: got %q, %v; want %q", what, protocol, addr, got, err, text)
		}
		again += n
	}
	return again
}

// sentAgain is how many packets a client's TCP sent more than once, the first among
// them.
func sentAgain(t testing.TB, c net.Conn) (n int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	must(t, err)
	var failed error
	must(t, raw.Control(func(fd uintptr) {
		var info *unix.TCPInfo
		if info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); failed == nil {
			n = int(info.Total_retrans)
		}
	}))
	must(t, failed)
	return n
}

// misses insists on no answer.
func (l *lab) misses(what string, ns *os.File, addr string) {
	l.t.Helper()
	for _, protocol := range []string{"tcp", "udp"} {
		got, err := l.ask(ns, protocol, addr, impatience)
		if err == nil || got != "" {
			l.t.Errorf("%s: %s %s answered %q", what, protocol, addr, got)
		}
	}
}

func at(a netip.Addr, port int) string { return net.JoinHostPort(a.String(), fmt.Sprint(port)) }

// picture is what must be the same after Remove as it was before.
func (l *lab) picture() string {
	l.t.Helper()
	text := l.cmd("nft list ruleset; ip -o link | sed 's/^[0-9]*: //; s/<.*>//; s/ state .* mode/ mode/'; ip -br addr show dev eth0 scope global; sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.eth0.accept_ra; ip neigh show nud permanent")
	files, err := os.ReadDir(l.state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "lock" {
			text += "state: " + f.Name() + "\n"
		}
	}
	return text
}
