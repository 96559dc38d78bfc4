package runtimetest

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

func (s *suite) process(t *testing.T) {
	s.check(t, "environment", s.environment)
	s.check(t, "user", s.user)
	s.check(t, "stdout of a user", s.stdoutOfUser)
	s.check(t, "umask", s.umask)
	s.check(t, "rlimits", s.rlimits)
	s.check(t, "signals", s.signals)
	s.check(t, "descriptors", s.descriptors)
	s.check(t, "terminal", s.terminal)
	s.check(t, "null", s.null)
	s.check(t, "oom score", s.oomScore)
	s.check(t, "names", s.names)
	s.check(t, "sysctl", s.sysctl)
}

func (s *suite) environment(t *testing.T) {
	spec := s.shell(`echo "$A $0 $PWD"; env | sort | tr '\n' ' '`)
	spec.Process.Env = []string{"PATH=/bin", "A=1 2"}
	spec.Process.Cwd = "/tmp"
	out, _ := s.run(t, spec)
	if !strings.HasPrefix(out, "1 2 sh /tmp\n") || !strings.Contains(out, "A=1 2 ") || strings.Contains(out, "STACK") {
		t.Errorf("got %q", out)
	}
}

func (s *suite) user(t *testing.T) {
	spec := s.shell("id -u; id -g; id -G; touch /tmp/mine && stat -c %u:%g /tmp/mine")
	spec.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 7}}
	out, _ := s.run(t, spec)
	expect(t, "ids", out, "1000\n1001\n1001 5 7\n1000:1001")
}

func (s *suite) stdoutOfUser(t *testing.T) {
	spec := s.shell("echo hello >/dev/stdout")
	spec.Process.User = specs.User{UID: 1000, GID: 1000}
	out, code := s.run(t, spec)
	expect(t, "output", out, "hello")
	expect(t, "exit code", code, 0)
}

func (s *suite) umask(t *testing.T) {
	out, _ := s.run(t, s.shell("umask"))
	expect(t, "default", out, "0022")
	spec, mask := s.shell("umask"), uint32(0o077)
	spec.Process.User.Umask = &mask
	out, _ = s.run(t, spec)
	expect(t, "asked", out, "0077")
}

func (s *suite) rlimits(t *testing.T) {
	spec := s.shell("ulimit -n; ulimit -H -n; ulimit -c; cat /proc/self/limits")
	spec.Process.Rlimits = []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200},
		{Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
	}
	out, _ := s.run(t, spec)
	if !strings.HasPrefix(out, "100\n200\n0\n") {
		t.Errorf("got %q", out)
	}
	spec = s.shell("ulimit -n")
	spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 2}}
	if _, err := s.tryCreate(t, spec); err == nil {
		t.Error("accepted a soft limit above the hard one")
	}
}

// No signal is ignored or blocked, whatever the creator did.
func (s *suite) signals(t *testing.T) {
	ignoreSignal(t)
	out, _ := s.run(t, Spec(s.rootfs, "grep", "-E", "^(SigBlk|SigIgn|SigCgt)", "/proc/self/status"))
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) != 2 || strings.Trim(fields[1], "0") != "" {
			t.Errorf("got %q", line)
		}
	}
}

// ignoreSignal makes the creator ignore signal 32 until the test ends: a Go program
// leaves the C library's own signals, unlike others, as it inherited them.
func ignoreSignal(t *testing.T) {
	const signal = 32
	type action struct{ handler, flags, restorer, mask uint64 } // the kernel's
	act := func(next action) (last action) {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal,
			uintptr(unsafe.Pointer(&next)), uintptr(unsafe.Pointer(&last)), unsafe.Sizeof(next.mask), 0, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		return last
	}
	const ignore = 1
	last := act(action{handler: ignore})
	t.Cleanup(func() { act(last) })
}

// Nothing but the standard descriptors is open.
func (s *suite) descriptors(t *testing.T) {
	leaked, err := os.Open("/etc/passwd")
	must(t, err)
	defer leaked.Close()
	out, _ := s.run(t, Spec(s.rootfs, "ls", "/proc/self/fd"))
	expect(t, "open", strings.Join(strings.Fields(out), " "), "0 1 2 3") // 3 is ls's own
}

func (s *suite) terminal(t *testing.T) {
	spec := s.shell("tty; stty size; read x; echo got $x; stat -c %u /dev/console $(tty); exit 5")
	spec.Process.Terminal = true
	spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 77}
	spec.Process.User = specs.User{UID: 1000, GID: 1000}
	b := s.create(t, spec)
	if b.created.Console == nil {
		t.Fatal("no console")
	}
	b.start()
	r := bufio.NewReader(b.created.Console)
	line := func() string { text, _ := r.ReadString('\n'); return strings.TrimSpace(text) }
	if name := line(); name != "/dev/console" && name != "/dev/pts/0" {
		t.Errorf("the terminal is %q", name)
	}
	expect(t, "size", line(), "33 77")
	_, err := b.created.Console.WriteString("word\n")
	must(t, err)
	expect(t, "echo", line(), "word")
	expect(t, "answer", line(), "got word")
	expect(t, "owner", line(), "1000")
	expect(t, "exit code", b.wait(), 5)

	// It is the controlling one: the interrupt character kills.
	spec = s.shell("trap 'exit 7' INT; echo ready; while :; do read -t 0.1 x; done")
	spec.Process.Terminal = true
	b = s.create(t, spec).start()
	r = bufio.NewReader(b.created.Console)
	expect(t, "ready", line(), "ready")
	_, err = b.created.Console.WriteString("\x03")
	must(t, err)
	expect(t, "exit code", b.wait(), 7)
}

// Missing standard files are the container's /dev/null.
func (s *suite) null(t *testing.T) {
	spec := s.shell("stat -L -c '%t:%T' /proc/self/fd/0 /proc/self/fd/2; cat; echo lost >&2")
	out, code := s.run(t, spec, func(b *runtime.Bundle) { b.Stdin, b.Stderr = nil, nil })
	expect(t, "devices", out, "1:3\n1:3")
	expect(t, "exit code", code, 0)
}

func (s *suite) oomScore(t *testing.T) {
	spec, score := s.shell("cat /proc/self/oom_score_adj"), 321
	spec.Process.OOMScoreAdj = &score
	out, _ := s.run(t, spec)
	expect(t, "score", out, "321")
}

func (s *suite) names(t *testing.T) {
	spec := s.shell("hostname; cat /proc/sys/kernel/domainname")
	spec.Hostname, spec.Domainname = "inside", "example.org"
	out, _ := s.run(t, spec)
	expect(t, "names", out, "inside\nexample.org")
	here, err := os.Hostname()
	must(t, err)
	if here == "inside" {
		t.Error("the host was renamed")
	}
}

func (s *suite) sysctl(t *testing.T) {
	spec := s.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; echo 1 >/proc/sys/net/ipv4/ip_forward")
	spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "7", "kernel.msgmax": "4096"}
	out, code := s.run(t, spec)
	if !strings.HasPrefix(out, "7\n4096\n") || code == 0 {
		t.Errorf("got %q, code %d", out, code)
	}
	for _, bad := range []string{"kernel.panic", "vm.swappiness", "net.ipv4/../../kernel/panic", "fs.file-max"} {
		spec := s.shell("exit 0")
		spec.Linux.Sysctl = map[string]string{bad: "1"}
		if _, err := s.tryCreate(t, spec); err == nil {
			t.Errorf("accepted sysctl %q", bad)
		}
	}
	spec = s.shell("exit 0")
	HostUser(spec)
	Without(spec, specs.NetworkNamespace)
	spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	if _, err := s.tryCreate(t, spec); err == nil {
		t.Error("accepted a sysctl of the host's network")
	}
}
