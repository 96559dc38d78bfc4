package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"stack/cmd/internal/cmdtest"
	"stack/runtime/image/registry/registrytest"
)

// host is a machine of its own as far as the network goes, with a neighbour on its
// LAN: the firewalls that these tests set up must not be those of the real one,
// where others work.
type host struct {
	t         *testing.T
	name      string
	neighbour neighbour
}

// newHost makes a machine whose LAN is 10.183.n.0/24.
func newHost(t *testing.T, n int) *host {
	t.Helper()
	h := &host{t: t, name: fmt.Sprint("st-host-", n)}
	h.neighbour = neighbour{name: fmt.Sprint("st-lan-", n), host: fmt.Sprintf("10.183.%d.1", n)}
	for _, ns := range []string{h.name, h.neighbour.name} {
		ip(t, "netns", "add", ns)
		t.Cleanup(func() { ip(t, "netns", "del", ns) })
		ip(t, "-n", ns, "link", "set", "lo", "up")
	}
	ip(t, "-n", h.name, "link", "add", "lan", "type", "veth", "peer", "name", "eth0", "netns", h.neighbour.name)
	ip(t, "-n", h.name, "addr", "add", h.neighbour.host+"/24", "dev", "lan")
	ip(t, "-n", h.name, "link", "set", "lan", "up")
	ip(t, "-n", h.neighbour.name, "addr", "add", fmt.Sprintf("10.183.%d.2/24", n), "dev", "eth0")
	ip(t, "-n", h.neighbour.name, "link", "set", "eth0", "up")
	// A namespace begins with what the real machine has now; dockerd drops only where
	// it was the one to switch forwarding on.
	h.sh("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")
	return h
}

// enter is the command line before one that is to run on the machine. The mounts
// stay as they are: cgroups lie below /sys.
func (h *host) enter(args ...string) []string {
	return append([]string{"nsenter", "--net=/run/netns/" + h.name, "--"}, args...)
}

// sh runs a shell script on the machine.
func (h *host) sh(script string) string {
	h.t.Helper()
	args := h.enter("sh", "-ec", script)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// counters are what changes in a listing of rules without anybody's doing.
var counters = regexp.MustCompile(`(?m)^#.*\n|counter packets \d+ bytes \d+|\[\d+:\d+\]`)

// rules are all the rules there are, by nft's and by iptables' account.
func (h *host) rules() string {
	h.t.Helper()
	return counters.ReplaceAllString(h.sh("nft list ruleset; iptables-save; ip6tables-save"), "")
}

const beside = `
services:
  web:
    image: rootfs:/
    init: true
    command: ["perl", "-e", "use IO::Socket::INET; my $$s = IO::Socket::INET->new(LocalPort => 80, Listen => 9, ReuseAddr => 1); while (my $$c = $$s->accept) { print $$c 'here'; close $$c }"]
    ports: ["18350:80"]
    healthcheck:
      test: ["CMD", "perl", "-e", "use IO::Socket::INET; exit !IO::Socket::INET->new('127.0.0.1:80')"]
  peer:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
`

// check sees that a stack works on the machine, and that `down` leaves the rules as
// they were.
func (h *host) check(before string) {
	t := h.t
	p := newProject(t, beside)
	p.wrap = h.enter()
	t.Cleanup(func() { p.run("down", "-t", "1") }) // before the machine goes
	p.run("up", "-d", "--wait")
	ask := func(what string, c *exec.Cmd) {
		t.Helper()
		if out, err := c.CombinedOutput(); string(out) != "here" {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
	here := h.enter("perl", "-e", asking)
	ask("loopback", exec.Command(here[0], append(here[1:], "127.0.0.1:18350")...))
	ask("own address", exec.Command(here[0], append(here[1:], h.neighbour.host+":18350")...))
	ask("same network, by name", p.command("exec", "-T", "peer", "perl", "-e", asking, "web:80"))
	ask("hairpin", p.command("exec", "-T", "peer", "perl", "-e", asking, h.neighbour.host+":18350"))
	ask("hairpin to itself", p.command("exec", "-T", "web", "perl", "-e", asking, h.neighbour.host+":18350"))
	if out, err := h.neighbour.ask(h.neighbour.host + ":18350"); out != "here" {
		t.Errorf("neighbour: %v: %s", err, out)
	}
	if during := h.rules(); during == before {
		t.Error("no rules of ours are seen: the comparison proves nothing")
	}
	p.run("down", "-t", "1")
	if after := h.rules(); after != before {
		t.Errorf("down does not leave the rules as they were:\n%s\nbefore:\n%s", after, before)
	}
}

// TestBesideFirewalls runs a stack on machines whose administrator drops what is not
// allowed.
func TestBesideFirewalls(t *testing.T) {
	cmdtest.NeedRoot(t)
	t.Parallel()
	for n, f := range []struct{ name, script string }{
		{"nft", `
nft add table inet guard
nft add chain inet guard in '{ type filter hook input priority 0; policy drop; }'
nft add rule inet guard in iifname lo accept
nft add rule inet guard in ct state established,related accept
nft add chain inet guard thru '{ type filter hook forward priority 0; policy drop; }'
nft add rule inet guard thru ct state established,related accept`},
		{"iptables", `
iptables -P INPUT DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -P FORWARD DROP`},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, 40+n)
			h.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
			h.sh(f.script)
			h.check(h.rules())
		})
	}
}

// TestBesideDocker runs a stack beside a living dockerd, which drops what it does not
// forward itself.
func TestBesideDocker(t *testing.T) {
	cmdtest.NeedRoot(t)
	t.Parallel()
	registrytest.Need(t, "dockerd")
	h := newHost(t, 45)
	h.startDocker()
	before := h.rules()
	if !strings.Contains(before, ":FORWARD DROP") || strings.TrimSpace(h.sh("cat /proc/sys/net/bridge/bridge-nf-call-iptables")) != "1" {
		t.Fatalf("dockerd does not drop forwarded traffic here:\n%s", before)
	}
	h.check(before)
}

// startDocker runs a dockerd of the machine's own and waits until its rules stand.
// It returns the path of its socket.
func (h *host) startDocker(more ...string) string {
	t := h.t
	dir, err := os.MkdirTemp("", "st-docker-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Unmount(dir+"/exec/netns/default", syscall.MNT_DETACH) // dockerd leaves it mounted
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
	args := h.enter("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "-H", "unix://"+dir+"/sock",
		"--pidfile", dir+"/pid", "--storage-driver", "vfs")
	d := exec.Command(args[0], append(args[1:], more...)...)
	d.Env = append(os.Environ(), "HOME="+dir)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.Stdout, d.Stderr = log, log
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Wait() }()
	t.Cleanup(func() {
		_ = d.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = d.Process.Kill()
			<-ended
			t.Error("dockerd did not end")
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		b, _ := os.ReadFile(log.Name())
		switch {
		case strings.Contains(string(b), "API listen on"):
			return dir + "/sock"
		case len(ended) > 0, time.Now().After(deadline):
			t.Fatalf("dockerd does not start:\n%s", b)
		}
	}
}
