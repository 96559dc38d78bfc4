package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime/log"
)

// stack is a running shim with a controller.
type stack struct {
	t   *testing.T
	ctx context.Context
	dir string
	c   *Client
	pid int // of the shim
}

// needRoot skips without root, or fails where skips are not accepted.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal("needs root:", why)
	}
	t.Skip("needs root:", why)
}

// tempDir is short: /dev/shm, so that memory and not a disk is measured.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "shim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newStack(t *testing.T) *stack {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	s := &stack{t: t, ctx: ctx, dir: tempDir(t)}
	s.connect()
	t.Cleanup(s.end)
	return s
}

// connect makes sure of a shim and waits for its controller.
func (s *stack) connect() report {
	s.t.Helper()
	c, err := Ensure(s.ctx, startOptions(s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := c.Hello(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	s.c, s.pid = c, h.Pid
	return s.order(order{Do: "state"})
}

// order is answered by whatever controller comes to life.
func (s *stack) order(o order) report {
	s.t.Helper()
	for {
		r, err := s.try(o)
		if err == nil {
			if r.Error != "" {
				s.t.Fatalf("%+v: %s", o, r.Error)
			}
			return r
		}
		if s.ctx.Err() != nil || o.Do != "state" {
			b, _ := os.ReadFile(s.dir + "/shim.log")
			s.t.Fatalf("%+v: %v\n%s", o, err, b)
		}
	}
}

// try gives an order to a controller that may die under it.
func (s *stack) try(o order) (report, error) {
	var d net.Dialer
	c, err := d.DialContext(s.ctx, "unix", s.dir+"/api.sock")
	if err != nil {
		return report{}, err
	}
	defer c.Close()
	dead, _ := s.ctx.Deadline()
	_ = c.SetDeadline(dead)
	var r report
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return r, err
	}
	return r, json.NewDecoder(c).Decode(&r)
}

func (s *stack) run(id, script string) report {
	s.t.Helper()
	return s.order(order{Do: "run", ID: id, Script: script})
}

// exit waits for a container's exit record.
func (s *stack) exit(id string) ExitRecord {
	s.t.Helper()
	for {
		r, err := ReadExit(recordPath(s.dir, id))
		if err == nil {
			return r
		}
		if !errors.Is(err, fs.ErrNotExist) || s.ctx.Err() != nil {
			s.t.Fatal("no exit of", id, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// text is what a container has logged so far.
func (s *stack) text(id, stream string) string {
	s.t.Helper()
	r, err := log.Open(logPath(s.dir, id), log.ReadOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	for {
		e, err := r.Next(s.ctx)
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Stream == stream {
			b.WriteString(e.Text)
			if !e.Partial {
				b.WriteByte('\n')
			}
		}
	}
}

// awaitText waits until want is logged.
func (s *stack) awaitText(id, want string) {
	s.t.Helper()
	for !strings.Contains(s.text(id, "stdout"), want) {
		if s.ctx.Err() != nil {
			s.t.Fatalf("%q is not logged, but %q", want, s.text(id, "stdout"))
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// kill kills a process and waits until it is gone.
func (s *stack) kill(pid int) {
	s.t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		s.t.Fatal(err)
	}
	for polled(fd)&unix.POLLIN == 0 {
		time.Sleep(time.Millisecond)
	}
}

// awaitController waits for a controller other than old and returns its pid.
func (s *stack) awaitController(old int) report {
	s.t.Helper()
	for {
		if r := s.order(order{Do: "state"}); r.Pid != old {
			return r
		}
		time.Sleep(time.Millisecond)
	}
}

// end stops all and checks that nothing is left.
func (s *stack) end() {
	for _, pid := range s.alive() { // containers and what they left
		if b, _ := os.ReadFile(fmt.Sprint("/proc/", pid, "/cmdline")); !strings.Contains(string(b), s.dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	if _, err := s.try(order{Do: "stop"}); err != nil && s.t.Failed() {
		for _, pid := range s.alive() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for len(s.alive()) > 0 && time.Now().Before(deadline) {
		time.Sleep(2 * time.Millisecond)
	}
	if left := s.alive(); len(left) > 0 {
		b, _ := os.ReadFile(s.dir + "/shim.log")
		s.t.Errorf("processes left: %v\n%s", left, b)
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	names, _ := filepath.Glob(s.dir + "/*")
	for _, n := range names {
		if filepath.Base(n) != "containers" {
			s.t.Errorf("left behind: %s", n)
		}
	}
}

// alive finds the shim, controllers and containers of this stack by its
// directory in their descriptors or command line.
func (s *stack) alive() []int {
	var pids []int
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		var pid int
		if _, err := fmt.Sscanf(p, "/proc/%d", &pid); err != nil || pid == os.Getpid() {
			continue
		}
		if b, _ := os.ReadFile(p + "/cmdline"); strings.Contains(string(b), s.dir) {
			pids = append(pids, pid)
			continue
		}
		fds, _ := filepath.Glob(p + "/fd/[0-2]")
		for _, fd := range fds {
			if l, _ := os.Readlink(fd); strings.HasPrefix(l, s.dir) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}
