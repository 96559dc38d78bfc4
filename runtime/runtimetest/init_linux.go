package runtimetest

import (
	"bufio"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// init tests a container whose pid 1 is a reaper.
func (s *suite) init(t *testing.T) {
	s.check(t, "exit codes", s.initExit)
	s.check(t, "signals", s.initSignals)
	s.check(t, "orphans", s.initOrphans)
	s.check(t, "failure", s.initFailure)
	s.check(t, "terminal", s.initTerminal)
	s.check(t, "exec", s.initExec)
}

func withInit(c *specs.Spec) { c.Annotations = map[string]string{"stack.init": "true"} }

func (s *suite) initExit(t *testing.T) {
	for script, code := range map[string]int{"exit 0": 0, "exit 41": 41, "kill -TERM $$": 143, "kill -KILL $$": 137} {
		spec := s.shell("[ $$ != 1 ] || exit 99; " + script)
		withInit(spec)
		_, got := s.run(t, spec)
		expect(t, script, got, code)
	}
}

// Signals reach the program, which is not pid 1 and so has the default actions.
func (s *suite) initSignals(t *testing.T) {
	ignoreSignal(t)
	for script, c := range map[string]struct {
		sig  syscall.Signal
		code int
	}{
		"echo ready; cat": {syscall.SIGTERM, 143},
		"trap 'exit 8' USR1; echo ready; while :; do read -t 0.1 x; done": {syscall.SIGUSR1, 8},
	} {
		spec := s.shell("grep Sig[BI] /proc/self/status | cut -f2 | sort -u; exec 2>&1; " + script)
		withInit(spec)
		r, w := pipe(t)
		b := s.create(t, spec, func(b *runtime.Bundle) { b.Stdout = w }).start()
		w.Close()
		expect(t, "masks", readLine(t, r), "0000000000000000")
		expect(t, "ready", readLine(t, r), "ready")
		expect(t, "state", b.state(), runtime.Running)
		b.kill(c.sig)
		expect(t, script, b.wait(), c.code)
		r.Close()
	}
}

func (s *suite) initOrphans(t *testing.T) {
	spec := s.shell(`for i in 1 2 3 4 5; do (sh -c 'exit 0' & ) ; done
		(true & sleep 0.01) ; while ps -o stat= | grep -q Z; do :; done; cat /proc/1/comm; exit 0`)
	withInit(spec)
	out, code := s.run(t, spec)
	expect(t, "output", out, "stack-init")
	expect(t, "exit code", code, 0)
}

func (s *suite) initFailure(t *testing.T) {
	spec := Spec(s.rootfs, "nothing")
	withInit(spec)
	b := s.create(t, spec)
	if err := b.rt.Start(background(t), b.id); err == nil {
		t.Error("started nothing")
	}
	expect(t, "exit code", b.wait(), 127)
}

// What is typed interrupts the program once: the reaper is no part of the
// foreground job.
func (s *suite) initTerminal(t *testing.T) {
	spec := s.shell("trap 'n=$((n+1))' INT; echo ready; read x; read x; echo $n; exit 6")
	withInit(spec)
	spec.Process.Terminal = true
	b := s.create(t, spec).start()
	r := bufio.NewReader(b.created.Console)
	for line := ""; !strings.Contains(line, "ready"); {
		line, _ = r.ReadString('\n')
	}
	_, err := b.created.Console.WriteString("\x03\n\n\n")
	must(t, err)
	expect(t, "exit code", b.wait(), 6)
	var rest strings.Builder
	for {
		line, err := r.ReadString('\n')
		rest.WriteString(line)
		if err != nil {
			break
		}
	}
	if !strings.Contains(rest.String(), "1\r\n") {
		t.Errorf("got %q", rest.String())
	}
}

func (s *suite) initExec(t *testing.T) {
	b := s.waiting(t, withInit)
	out, _ := s.execOutput(t, b, "cat", "/proc/1/comm")
	expect(t, "output", out, "stack-init")
	// Nobody inside may look into the reaper.
	_, code := s.execOutput(t, b, "sh", "-c", "cat /proc/1/maps || readlink /proc/1/fd/0 || readlink /proc/1/exe || cat /proc/1/environ")
	if code == 0 {
		t.Error("the reaper can be read")
	}
}
