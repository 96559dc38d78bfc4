package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// underLoad is a stack that serves requests, with a service on a terminal. Every
// program numbers its lines, so that a missing one is seen.
const underLoad = `
services:
  web:
    image: rootfs:/
    init: true
    command: ["perl", "/srv/web.pl"]
    configs: [{source: web, target: /srv/web.pl}]
    ports: ["%d:80"]
  two:
    image: rootfs:/
    init: true
    command: ["perl", "-e", "$$|=1; while (1) { print 'line ', ++$$i, chr(10); select undef, undef, undef, 0.01 }"]
    deploy: {replicas: 2}
  tty:
    image: rootfs:/
    init: true
    tty: true
    restart: always
    command: ["perl", "-e", "$$|=1; while (1) { print 'line ', ++$$i, chr(10); select undef, undef, undef, 0.01 }"]
configs:
  web:
    content: |
      use IO::Socket::INET;
      $$| = 1;
      my $$n = 0;
      my $$s = IO::Socket::INET->new(LocalPort => 80, Listen => 500, ReuseAddr => 1) or die $$!;
      while (my $$c = $$s->accept) {
        my $$l = <$$c>;
        next unless defined $$l;
        print "line ", ++$$n, "\n";
        print $$c "HTTP/1.0 200 OK\r\n\r\nhello\n";
        close $$c;
      }
`

// load asks a published port a hundred times a second, a new connection each time
// and never twice.
type load struct {
	stop   chan struct{}
	all    sync.WaitGroup
	asked  atomic.Int64
	mu     sync.Mutex
	failed []string
}

func startLoad(address string) *load {
	l := &load{stop: make(chan struct{})}
	begun := time.Now()
	l.all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			l.asked.Add(1)
			l.all.Go(func() {
				at := time.Since(begun)
				if err := ask(address); err != nil {
					l.mu.Lock()
					l.failed = append(l.failed, fmt.Sprintf("at %v: %v", at, err))
					l.mu.Unlock()
				}
			})
		}
	})
	return l
}

// ask makes one request. The bound is far above what a busy machine needs, so that
// only a lost packet or a lost container fails.
func ask(address string) error {
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		return err
	}
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:n]), "HTTP/1.0 200") {
		err = fmt.Errorf("answer %q", b[:n])
	}
	return err
}

func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.all.Wait()
	if len(l.failed) > 0 {
		t.Errorf("%d of %d requests failed:\n%s", len(l.failed), l.asked.Load(), strings.Join(l.failed[:min(5, len(l.failed))], "\n"))
	}
	if l.asked.Load() == 0 {
		t.Error("nothing was asked")
	}
}

// control measures how long it takes until commands work: one that needs the
// controller, one that looks into a container.
func (p *project) control() time.Duration {
	p.t.Helper()
	return p.await("control", func() error {
		for _, args := range [][]string{{"scale", "two=2"}, {"exec", "-T", "two", "true"}, {"ps"}} {
			if out, err := p.try(args...); err != nil {
				return fmt.Errorf("stack %s: %w: %s", args[0], err, out)
			}
		}
		return nil
	})
}

// counted reads a log of lines that count from 1.
type counted struct {
	next int
	gaps []string
}

// line takes the next number. A shim that is killed between reading a container's output
// and writing the log takes what it had read with it: that is a line or a few, seldom.
func (c *counted) line(n int) error {
	const inHand = 100
	switch {
	case n < c.next || n > c.next+inHand:
		return fmt.Errorf("line %d where line %d belongs", n, c.next)
	case n > c.next:
		c.gaps = append(c.gaps, fmt.Sprintf("line %d where line %d belongs", n, c.next))
	}
	c.next = n + 1
	return nil
}

// check tells whether lines are missing more often than by that chance: what the pipe
// held, say, would be missing after every death of the shim.
func (c *counted) check(kills int) error {
	if len(c.gaps) > 1+kills/10 {
		return fmt.Errorf("%d gaps after %d deaths of the shim: %s", len(c.gaps), kills, strings.Join(c.gaps, ", "))
	}
	return nil
}

// checkLines sees that a container's log counts from 1 without a gap, but for what a
// killed shim had in hand.
func (p *project) checkLines(container string, kills int) {
	p.t.Helper()
	service, index, _ := strings.Cut(strings.TrimPrefix(container, p.name+"-"), "-")
	c := counted{next: 1}
	for line := range strings.Lines(p.run("logs", "--no-log-prefix", "--index", index, service)) {
		var n int
		if _, err := fmt.Sscanf(line, "line %d\n", &n); err != nil {
			p.t.Errorf("log of %s: %q", container, line)
			return
		}
		if err := c.line(n); err != nil {
			p.t.Errorf("log of %s: %v", container, err)
			return
		}
	}
	if c.next == 1 {
		p.t.Errorf("log of %s is empty", container)
	}
	if err := c.check(kills); err != nil {
		p.t.Errorf("log of %s: %v", container, err)
	}
}

// TestKilledUnderLoad kills one process of ours after the other.
func TestKilledUnderLoad(t *testing.T) {
	const port = 18300
	p := newProject(t, fmt.Sprintf(underLoad, port))
	p.run("up", "-d")
	p.await("an answer", func() error { return ask(fmt.Sprint("127.0.0.1:", port)) })
	before := p.containers()
	if len(before) != 4 {
		t.Fatalf("containers: %v", before)
	}
	l := startLoad(fmt.Sprint("127.0.0.1:", port))
	var away []time.Duration
	for range 4 {
		for _, kind := range []string{"controller", "shim", "cli"} {
			if kind == "cli" {
				p.killForeground()
			} else {
				p.kill(kind)
			}
			away = append(away, p.control())
			if now := p.containers(); !maps.Equal(now, before) {
				t.Fatalf("after the death of the %s: %v, before: %v", kind, now, before)
			}
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
		}
	}
	l.end(t)
	slices.Sort(away)
	t.Logf("%d requests; control was back after %v", l.asked.Load(), away)
	// Half of them within the guarantee: other tests use the same two processors.
	if median := away[len(away)/2]; median > time.Second && os.Getenv("STACK_TEST_RACE") == "" {
		t.Errorf("control was back after %v", away)
	}
	for name := range before {
		p.checkLines(name, 4)
	}
}

// killForeground kills an attached `up` once it shows something.
func (p *project) killForeground() {
	p.t.Helper()
	c := p.command("up")
	out, err := c.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		p.t.Errorf("up shows nothing: %v", err)
	}
	_ = c.Process.Kill()
	_ = c.Wait()
}

// TestBothKilledUnderLoad kills shim and controller together: nobody holds the
// terminal then, so the kernel hangs that container up and policy starts it anew;
// the others never notice.
func TestBothKilledUnderLoad(t *testing.T) {
	t.Parallel()
	const port = 18301
	p := newProject(t, fmt.Sprintf(underLoad, port))
	p.run("up", "-d")
	p.await("an answer", func() error { return ask(fmt.Sprint("127.0.0.1:", port)) })
	before := p.containers()
	l := startLoad(fmt.Sprint("127.0.0.1:", port))
	for range 3 {
		p.kill("controller", "shim")
		p.control()
		now := p.containers()
		for _, name := range []string{"web-1", "two-1", "two-2"} {
			if name = p.name + "-" + name; now[name] != before[name] {
				t.Fatalf("%s has pid %d, had %d", name, now[name], before[name])
			}
		}
		p.await("the terminal's container", func() error {
			_, err := p.try("exec", "-T", "tty", "true")
			return err
		})
		// The ports are ours again, and ::1 is served again.
		if l, err := net.Listen("tcp", fmt.Sprint(":", port)); err == nil {
			l.Close()
			t.Error("the published port is not reserved")
		}
		p.await("an answer on ::1", func() error { return ask(fmt.Sprintf("[::1]:%d", port)) })
		p.await("names", func() error {
			out, err := p.try("exec", "-T", "two", "getent", "hosts", "web")
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	l.end(t)
	for _, name := range []string{"web-1", "two-1", "two-2"} {
		p.checkLines(p.name+"-"+name, 3)
	}
}

const dying = `
services:
  keep:
    image: rootfs:/
    command: ["sleep", "1000"]
    stop_signal: KILL
  once:
    image: rootfs:/
    command: ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"]
  again:
    image: rootfs:/
    restart: on-failure
    command: ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"]
`

// TestExitsWhileAway ends containers while nobody of ours is there.
func TestExitsWhileAway(t *testing.T) {
	t.Parallel()
	end := func(p *project, pids map[string]int, service string, sig syscall.Signal) {
		if err := syscall.Kill(pids[p.name+"-"+service+"-1"], sig); err != nil {
			t.Fatal(err)
		}
	}
	status := func(p *project, service string) string {
		var row struct {
			State    string
			ExitCode int
		}
		if err := json.Unmarshal([]byte(p.run("ps", "-a", "--format", "json", service)), &row); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(row.State, " ", row.ExitCode)
	}
	t.Run("controller", func(t *testing.T) {
		p := newProject(t, dying)
		pids := p.upReady("once", "again")
		p.kill("controller")
		end(p, pids, "once", syscall.SIGTERM)
		end(p, pids, "again", syscall.SIGKILL)
		p.awaitRestart("again", pids)
		if got := status(p, "once"); got != "exited 7" {
			t.Errorf("once: %s", got)
		}
	})
	t.Run("shim", func(t *testing.T) {
		p := newProject(t, dying)
		pids := p.upReady("once", "again")
		controller := p.pid("controller")
		p.freeze("controller")
		p.kill("shim")
		end(p, pids, "once", syscall.SIGTERM)
		end(p, pids, "again", syscall.SIGKILL)
		p.awaitGone(pids, "once", "again")
		_ = syscall.Kill(controller, syscall.SIGCONT)
		p.awaitRestart("again", pids)
		// The kernel keeps the code since 6.15; where it does not, it is unknown.
		if got := status(p, "once"); got != "exited 7" && got != "exited -1" {
			t.Errorf("once: %s", got)
		}
	})
	t.Run("both", func(t *testing.T) {
		p := newProject(t, dying)
		pids := p.upReady("once", "again")
		p.freeze("controller")
		p.kill("shim", "controller")
		end(p, pids, "once", syscall.SIGTERM)
		end(p, pids, "again", syscall.SIGTERM) // would be no failure, if anybody knew
		p.awaitGone(pids, "once", "again")
		p.run("scale", "keep=1") // any command brings control back
		p.awaitRestart("again", pids)
		if got := status(p, "once"); got != "exited -1" {
			t.Errorf("once: %s", got)
		}
		if now := p.containers(); now[p.name+"-keep-1"] != pids[p.name+"-keep-1"] {
			t.Error("keep was restarted")
		}
	})
}

// upReady brings the stack up and waits until services said that they are ready: a
// first process takes no signal that it has no handler for.
func (p *project) upReady(services ...string) map[string]int {
	p.t.Helper()
	p.run("up", "-d")
	for _, s := range services {
		p.await(s, func() error {
			if out := p.run("logs", "--no-log-prefix", s); !strings.Contains(out, "ready") {
				return fmt.Errorf("log: %q", out)
			}
			return nil
		})
	}
	return p.containers()
}

func (p *project) awaitGone(pids map[string]int, services ...string) {
	p.t.Helper()
	for _, s := range services {
		p.await("the end of "+s, func() error {
			if syscall.Kill(pids[p.name+"-"+s+"-1"], 0) == nil {
				return errors.New("alive")
			}
			return nil
		})
	}
}

func (p *project) awaitRestart(service string, pids map[string]int) {
	p.t.Helper()
	name := p.name + "-" + service + "-1"
	p.await("restart of "+service, func() error {
		if now := p.containers()[name]; now == 0 || now == pids[name] {
			return fmt.Errorf("pid %d", now)
		}
		_, err := p.try("exec", "-T", service, "true")
		return err
	})
}

const twenty = `
services:
  many:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
    deploy: {replicas: 20}
  web:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
    ports: ["%d:80"]
`

// TestKilledMidway kills the controller in the middle of `up` and of `down` of 20
// replicas; the next command finishes the work and nothing is left.
func TestKilledMidway(t *testing.T) {
	t.Parallel()
	for n, kinds := range [][]string{{"controller"}, {"shim"}, {"controller", "shim"}} {
		t.Run(strings.Join(kinds, "+"), func(t *testing.T) {
			p := newProject(t, fmt.Sprintf(twenty, 18302+n))
			for _, after := range []int{1, 5, 15} {
				p.killDuring(after, kinds, "up", "-d")
				p.run("up", "-d")
				running := strings.Fields(p.run("ps", "-q", "--status", "running"))
				if pids := p.containers(); len(pids) != 21 || len(running) != 21 {
					t.Fatalf("%d containers, %d running", len(pids), len(running))
				}
				p.killDuring(after, kinds, "down", "-t", "1")
				p.run("down", "-t", "1")
				if left := settle(p.root, p.name); len(left) > 0 {
					t.Fatalf("left after a down killed in the middle: %s", strings.Join(left, "\n"))
				}
			}
		})
	}
}

// killDuring kills once so many lines of progress came.
func (p *project) killDuring(lines int, kinds []string, args ...string) {
	p.t.Helper()
	c := p.command(args...)
	progress, err := c.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	if readLines(progress, lines) == lines {
		p.kill(kinds...)
	}
	_, _ = io.Copy(io.Discard, progress)
	_ = c.Wait()
}
