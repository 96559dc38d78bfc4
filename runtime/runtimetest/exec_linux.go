package runtimetest

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

func (s *suite) exec(t *testing.T) {
	s.check(t, "inside", s.execInside)
	s.check(t, "user", s.execUser)
	s.check(t, "failures", s.execFailures)
	s.check(t, "states", s.execStates)
	s.check(t, "terminal", s.execTerminal)
	s.check(t, "descriptors", s.execDescriptors)
	s.check(t, "forged null", s.execForgedNull)
	s.check(t, "restrictions", s.execRestrictions)
	s.check(t, "without a user namespace", s.execHostUser)
	s.check(t, "many", s.execMany)
}

// process is what Exec is asked for by default.
func process(args ...string) *specs.Process { return Spec("", args...).Process }

// execOutput runs a process in b to its end.
func (s *suite) execOutput(t testing.TB, b *box, args ...string) (string, int) {
	t.Helper()
	return s.execProcess(t, b, process(args...))
}

func (s *suite) execProcess(t testing.TB, b *box, p *specs.Process, extra ...*os.File) (string, int) {
	t.Helper()
	r, w := pipe(t)
	started, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: p, Stdout: w, Stderr: w, ExtraFiles: extra})
	w.Close()
	defer r.Close()
	must(t, err)
	defer started.PidFD.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	awaitProcess(t, started.PidFD)
	return strings.TrimSuffix(string(text), "\n"), collect(t, cmp.Or(started.Proxy, started.Pid))
}

// What a process gets for the streams that nobody gave it is the null device,
// whatever the container has in its place.
func (s *suite) execForgedNull(t *testing.T) {
	for _, forge := range []string{"echo forged >/dev/null", "mkfifo /dev/null", "ln -s /etc/passwd /dev/null", "mkdir /dev/null"} {
		b := s.waiting(t)
		s.execOutput(t, b, "sh", "-c", "rm /dev/null; "+forge)
		out, code := s.execOutput(t, b, "sh", "-c", "cat; stat -Lc %t:%T /proc/self/fd/0")
		if out != "1:3" || code != 0 {
			t.Errorf("%s: %q, code %d", forge, out, code)
		}
	}
}

func (s *suite) execInside(t *testing.T) {
	b := s.waiting(t)
	out, code := s.execOutput(t, b, "sh", "-c", "hostname; cat /proc/1/comm; echo $$ >/tmp/pid; for n in user pid net ipc uts mnt cgroup; do readlink /proc/self/ns/$n; done; exit 7")
	theirs := nsLinks(t, fmtPid(b))
	want := []string{"box", "cat"}
	for _, name := range []string{"user", "pid", "net", "ipc", "uts", "mnt", "cgroup"} {
		want = append(want, theirs[name])
	}
	expect(t, "output", out, strings.Join(want, "\n"))
	expect(t, "exit code", code, 7)

	p := process("sh", "-c", "pwd; echo $X; ls -d /sys/fs/cgroup; cat /proc/[0-9]*/comm | grep -c stack-init")
	p.Cwd, p.Env = "/tmp", append(p.Env, "X=y")
	out, _ = s.execProcess(t, b, p)
	expect(t, "output", out, "/tmp\ny\n/sys/fs/cgroup\n0")
}

func fmtPid(b *box) string { return strconv.Itoa(b.created.Pid) }

func (s *suite) execUser(t *testing.T) {
	b := s.waiting(t)
	p := process("sh", "-c", "id -u; id -G; echo x >/dev/stdout; grep CapEff /proc/self/status | cut -f2")
	p.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{9}}
	out, _ := s.execProcess(t, b, p)
	expect(t, "output", out, "1000\n1000 9\nx\n0000000000000000")
}

func (s *suite) execFailures(t *testing.T) {
	b := s.waiting(t)
	for program, code := range map[string]int{"nothing": 127, "/bin/denied": 126, "garbage": 126} {
		_, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: process(program)})
		var step *runtime.StepError
		if !errors.As(err, &step) || step.ExitCode() != code {
			t.Errorf("%s: got error %v, want one of code %d", program, err, code)
		}
	}
	p := process("true")
	p.Cwd = "/nothing"
	if _, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: p}); err == nil {
		t.Error("executed in a directory that does not exist")
	}
	p = process("true")
	p.Terminal = true
	p.Args = []string{"nothing"}
	if _, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: p}); err == nil {
		t.Error("executed nothing on a terminal")
	}
}

func (s *suite) execStates(t *testing.T) {
	try := func(b *box) error {
		_, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: process("true")})
		return err
	}
	expectError(t, "created", try(s.create(t, s.shell("exit 0"))), runtime.ErrNotRunning)
	b := s.waiting(t)
	must(t, b.rt.Pause(background(t), b.id))
	expectError(t, "paused", try(b), runtime.ErrPaused)
	b.kill(syscall.SIGKILL)
	// A killed process ends frozen on cgroup v2, and must be thawed for it on v1.
	if err := b.rt.Resume(background(t), b.id); err != nil && !errors.Is(err, runtime.ErrNotRunning) {
		t.Fatal(err)
	}
	b.wait()
	expectError(t, "stopped", try(b), runtime.ErrNotRunning)
	must(t, b.rt.Delete(background(t), b.id, false))
	expectError(t, "deleted", try(b), runtime.ErrNotFound)
}

func (s *suite) execTerminal(t *testing.T) {
	b := s.waiting(t)
	p := process("sh", "-c", "tty; stty size; stat -c %u $(tty); read x; echo got $x")
	p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 20, Width: 30}
	p.User = specs.User{UID: 1000}
	started, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: p})
	must(t, err)
	defer started.PidFD.Close()
	defer started.Console.Close()
	r := bufio.NewReader(started.Console)
	line := func() string { text, _ := r.ReadString('\n'); return strings.TrimSpace(text) }
	expect(t, "tty", line(), "/dev/pts/0")
	expect(t, "size", line(), "20 30")
	expect(t, "owner", line(), "1000")
	_, err = started.Console.WriteString("word\n")
	must(t, err)
	expect(t, "echo", line(), "word")
	expect(t, "answer", line(), "got word")
	awaitProcess(t, started.PidFD)
	expect(t, "exit code", collect(t, cmp.Or(started.Proxy, started.Pid)), 0)
}

func (s *suite) execDescriptors(t *testing.T) {
	b := s.waiting(t)
	one, w := pipe(t)
	defer one.Close()
	two, w2 := pipe(t)
	defer two.Close()
	for _, f := range []*os.File{w, w2} {
		_, err := f.WriteString("word\n")
		must(t, err)
		f.Close()
	}
	out, code := s.execProcess(t, b, process("sh", "-c", "cat <&3 <&4; cat <&3; ls /proc/self/fd | tr '\\n' ' '"), one, two)
	expect(t, "output", out, "word\nword\n0 1 2 3 4 5 ")
	expect(t, "exit code", code, 0)
}

// A process of a container is no freer than its first.
func (s *suite) execRestrictions(t *testing.T) {
	b := s.waiting(t, func(c *specs.Spec) { c.Linux.Seccomp = filter() })
	p := process("sh", "-c", "mkdir /tmp/x; grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | tr '\\n' ' '")
	p.NoNewPrivileges = true
	out, _ := s.execProcess(t, b, p)
	if !strings.Contains(out, "No anode") || !strings.HasSuffix(out, defaultMask+" "+defaultMask+" 1 2 ") {
		t.Errorf("got %q", out)
	}
	p = process("sh", "-c", "ulimit -n; echo 5 >/proc/sys/net/ipv4/ip_forward")
	p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 50}}
	out, code := s.execProcess(t, b, p)
	if !strings.HasPrefix(out, "50\n") || code == 0 {
		t.Errorf("got %q, code %d", out, code)
	}
	ignoreSignal(t)
	out, _ = s.execOutput(t, b, "sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2 | sort -u")
	expect(t, "ignored and blocked signals", out, "0000000000000000")
}

func (s *suite) execHostUser(t *testing.T) {
	b := s.waiting(t, HostUser)
	out, _ := s.execOutput(t, b, "sh", "-c", "hostname; id -u; readlink /proc/self/ns/user; grep CapEff /proc/self/status | cut -f2")
	expect(t, "output", out, "box\n0\n"+nsLinks(t, "self")["user"]+"\n"+defaultMask)
}

// Health probes run while the container is killed: nobody else dies of it.
func (s *suite) execMany(t *testing.T) {
	b := s.waiting(t)
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				p, err := b.rt.Exec(background(t), b.id, runtime.Exec{Process: process("true")})
				if err != nil {
					return // its end
				}
				awaitProcess(t, p.PidFD)
				p.PidFD.Close()
				collect(t, cmp.Or(p.Proxy, p.Pid))
			}
		}()
	}
	for range 20 {
		s.execOutput(t, b, "true")
	}
	must(t, b.rt.Delete(background(t), b.id, true))
	all.Wait()
	b.wait()
}
