package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const fewWithPort = `
services:
  some:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
    deploy: {replicas: 5}
  web:
    image: rootfs:/
    init: true
    command: ["sleep", "1000"]
    ports: ["%d:80"]
`

// TestConcurrentUps gives one stack several ups at once: all succeed, and together
// they make what one would.
func TestConcurrentUps(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(fewWithPort, 18310))
	for range 3 {
		together(t, 4, func(int) *exec.Cmd { return p.command("up", "-d") })
		if pids := p.containers(); len(pids) != 6 {
			t.Fatalf("containers: %v", pids)
		}
		together(t, 2, func(int) *exec.Cmd { return p.command("down", "-t", "1") })
		if left := settle(p.root, p.name); len(left) > 0 {
			t.Fatalf("left after two downs: %s", strings.Join(left, "\n"))
		}
	}
}

// TestStacksAtOnce brings different stacks of one machine up and down together:
// their networks must not overlap, nor their rules disturb each other.
func TestStacksAtOnce(t *testing.T) {
	t.Parallel()
	var stacks []*project
	root := newStateRoot(t)
	for n := range 3 {
		stacks = append(stacks, newProjectOn(t, root, fmt.Sprintf(fewWithPort, 18311+n)))
	}
	for range 2 {
		together(t, 3, func(n int) *exec.Cmd { return stacks[n].command("up", "-d") })
		subnets := map[string]bool{}
		for _, p := range stacks {
			addr := strings.TrimSpace(p.run("exec", "-T", "web", "sh", "-c", "ip -4 -o addr show dev eth0 | sed 's/.*inet \\([0-9.]*\\)[0-9/.]* .*/\\1/'"))
			subnets[addr[:strings.LastIndex(addr, ".")]] = true
		}
		if len(subnets) != 3 {
			t.Errorf("three networks have the subnets %v", subnets)
		}
		together(t, 3, func(n int) *exec.Cmd { return stacks[n].command("down", "-t", "1") })
	}
}

func together(t *testing.T, n int, command func(n int) *exec.Cmd) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		c := command(i)
		all.Go(func() {
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", strings.Join(c.Args[1:], " "), err, out)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// TestInterruptedUp presses Ctrl-C in the middle of an `up`.
func TestInterruptedUp(t *testing.T) {
	t.Parallel()
	interrupt := func(t *testing.T, p *project, args ...string) {
		t.Helper()
		c := p.command(args...)
		progress, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		readLines(progress, 8)
		_ = c.Process.Signal(syscall.SIGINT)
		rest, _ := io.ReadAll(progress)
		var code *exec.ExitError
		if err := c.Wait(); !errors.As(err, &code) || code.ExitCode() != 130 {
			t.Errorf("%v after Ctrl-C: %v\n%s", args, err, rest)
		}
	}
	t.Run("attached", func(t *testing.T) {
		p := newProject(t, fmt.Sprintf(twenty, 18314))
		interrupt(t, p, "up")
		if out := p.run("ps", "-q", "--status", "running"); out != "" {
			t.Errorf("still running: %s", out)
		}
	})
	t.Run("detached", func(t *testing.T) {
		p := newProject(t, fmt.Sprintf(twenty, 18315))
		interrupt(t, p, "up", "-d")
		p.run("down", "-t", "1")
		if left := settle(p.root, p.name); len(left) > 0 {
			t.Errorf("left: %s", strings.Join(left, "\n"))
		}
	})
}

// TestInterruptedLive: an `up` that has followed an edit tells its stop once, and two
// signals at once, as timeout(1) sends, are one Ctrl-C.
func TestInterruptedLive(t *testing.T) {
	t.Parallel()
	const file = "services: {one: {image: 'rootfs:/', init: true, command: sleep 1000, labels: {round: '%d'}}}"
	p := newProject(t, fmt.Sprintf(file, 1))
	c := p.command("up")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	said := func() string {
		text, _ := os.ReadFile(out.Name())
		return string(text)
	}
	says := func(text string) {
		p.await(text, func() error {
			if s := said(); !strings.Contains(s, text) {
				return errors.New(s)
			}
			return nil
		})
	}
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	says("Started")
	p.write(fmt.Sprintf(file, 2))
	says("stack file changed")
	_ = c.Process.Signal(syscall.SIGINT)
	_ = c.Process.Signal(syscall.SIGINT)
	_ = c.Wait()
	if s := said(); strings.Count(s, "Stopping") != 1 || strings.Count(s, "Stopped") != 1 || strings.Contains(s, "Killed") {
		t.Error(s)
	}
}

// readLines returns after so many lines, or at the end.
func readLines(r io.Reader, lines int) (seen int) {
	b := make([]byte, 1)
	for seen < lines {
		if _, err := r.Read(b); err != nil {
			break
		}
		if b[0] == '\n' {
			seen++
		}
	}
	return seen
}

// TestStoppedController freezes the controller: what needs none works, commands wait
// for it; and when the shim dies as well, it is replaced.
func TestStoppedController(t *testing.T) {
	t.Parallel()
	const port = 18316
	p := newProject(t, fmt.Sprintf(underLoad, port))
	p.run("up", "-d")
	address := fmt.Sprint("127.0.0.1:", port)
	p.await("an answer", func() error { return ask(address) })
	before := p.containers()
	controller := p.pid("controller")
	p.freeze("controller")
	l := startLoad(address)
	p.run("exec", "-T", "two", "true")
	p.run("ps")
	p.run("logs")
	up := make(chan error, 1)
	go func() { _, err := p.try("up", "-d"); up <- err }()
	select {
	case err := <-up:
		t.Fatalf("up answered without a controller: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	_ = syscall.Kill(controller, syscall.SIGCONT)
	if err := <-up; err != nil {
		t.Error(err)
	}
	if now := p.containers(); !maps.Equal(now, before) {
		t.Errorf("containers are %v, were %v", now, before)
	}
	p.freeze("controller")
	p.kill("shim")
	p.run("up", "-d") // waits until the new shim loses its patience
	if now := p.pid("controller"); now == controller {
		t.Error("the stopped controller was not replaced")
	}
	now := p.containers()
	delete(before, p.name+"-tty-1") // its terminal went with the last who held it
	delete(now, p.name+"-tty-1")
	if !maps.Equal(now, before) {
		t.Errorf("containers are %v, were %v", now, before)
	}
	l.end(t)
}
