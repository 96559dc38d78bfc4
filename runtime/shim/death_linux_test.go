package shim

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// visitor connects to a published port over and over; no visit may fail.
type visitor struct {
	stop   atomic.Bool
	done   sync.WaitGroup
	err    error
	visits int
}

func visit(addr string) *visitor {
	v := &visitor{}
	v.done.Go(func() {
		for !v.stop.Load() && v.err == nil {
			c, err := net.DialTimeout("tcp", addr, 10*time.Second)
			if err == nil {
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				c.Close()
			}
			v.err = err
			v.visits++
			time.Sleep(time.Millisecond)
		}
	})
	return v
}

func (v *visitor) end(t *testing.T) {
	t.Helper()
	v.stop.Store(true)
	v.done.Wait()
	if v.err != nil || v.visits == 0 {
		t.Errorf("after %d visits: %v", v.visits, v.err)
	}
}

// soon insists that control is back before anybody's patience is at its end: what
// comes back by itself takes a tenth of that, on a machine at rest.
func soon(t *testing.T, died time.Time) {
	t.Helper()
	d := time.Since(died)
	if d >= handoverPatience {
		t.Errorf("control was away for %v", d)
	}
	t.Logf("control was away for %v", d)
}

func answeredBy(t *testing.T, addr string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

const ticker = "trap 'exit 7' USR1; i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.01; done"

func TestControllerKilled(t *testing.T) {
	s := newStack(t)
	addr := s.order(order{Do: "serve"}).Addr
	old := s.order(order{Do: "state"}).Pid
	a := s.run("a", ticker)
	b := s.run("b", "sleep 0.1; exit 9")
	v := visit(addr)
	died := time.Now()
	s.kill(old)
	fresh := s.awaitController(old)
	soon(t, died)
	v.end(t)
	if got := answeredBy(t, addr); got != fmt.Sprint(fresh.Pid) {
		t.Errorf("port is served by %s, not %d", got, fresh.Pid)
	}
	if !slices.Contains(fresh.IDs, "a") || !slices.Contains(fresh.Names, "tcp") {
		t.Errorf("the fresh controller was not given all: %+v", fresh)
	}
	if rec := s.exit("b"); rec.Code != 9 || rec.Pid != b.Pid {
		t.Errorf("%+v", rec)
	}
	_ = unix.Kill(a.Pid, unix.SIGUSR1)
	if rec := s.exit("a"); rec.Code != 7 {
		t.Errorf("%+v", rec)
	}
}

func TestShimKilled(t *testing.T) {
	s := newStack(t)
	addr := s.order(order{Do: "serve"}).Addr
	old := s.order(order{Do: "state"}).Pid
	a := s.run("a", ticker)
	tty := s.order(order{Do: "run", ID: "t", Terminal: true, Script: "test -t 1 && " + ticker})
	for round := range 3 {
		s.awaitText("a", "tick ")
		s.awaitText("t", "tick ")
		v := visit(addr)
		died := time.Now()
		s.kill(s.pid)
		fresh := s.connect()
		for fresh.Pid == old {
			fresh = s.awaitController(old)
		}
		old = fresh.Pid
		soon(t, died)
		v.end(t)
		slices.Sort(fresh.IDs)
		if fmt.Sprint(fresh.IDs) != "[a t]" || !slices.Contains(fresh.Names, "tcp") {
			t.Fatalf("round %d: the fresh controller was not given all: %+v", round, fresh)
		}
		seen := len(s.text("t", "stdout"))
		for len(s.text("t", "stdout")) == seen { // the terminal lives and is copied
			time.Sleep(time.Millisecond)
		}
	}
	for id, r := range map[string]report{"a": a, "t": tty} {
		if err := unix.Kill(r.Pid, unix.SIGUSR1); err != nil {
			t.Fatalf("container %s died: %v", id, err)
		}
		rec := s.exit(id)
		if rec.Code != 7 || rec.Unknown {
			t.Errorf("%s: %+v", id, rec)
		}
		checkTicks(t, s.text(id, "stdout"))
	}
}

// checkTicks checks that no line is missing or there twice.
func checkTicks(t *testing.T, text string) {
	t.Helper()
	lines := strings.Fields(strings.ReplaceAll(text, "tick ", ""))
	for i, l := range lines {
		if l != fmt.Sprint(i) {
			t.Errorf("line %d is %q", i, l)
			return
		}
	}
}

// Nobody is there when the container ends: the shim is dead and the controller
// stopped. The kernel keeps the code behind the controller's pidfd.
func TestExitWhileShimIsDead(t *testing.T) {
	s := newStack(t)
	old := s.order(order{Do: "state"}).Pid
	a := s.run("a", ticker)
	b := s.run("b", "echo last words; exec sleep 1000")
	s.awaitText("a", "tick ")
	s.awaitText("b", "last words\n")
	freeze(t, old)
	s.kill(s.pid)
	_ = unix.Kill(a.Pid, unix.SIGUSR1)
	s.kill(b.Pid)
	for unix.Kill(a.Pid, 0) == nil { // until pid 1 has reaped it
		time.Sleep(time.Millisecond)
	}
	if err := unix.Kill(old, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	recA, recB := s.exit("a"), s.exit("b")
	if kernelKeepsExit(t) {
		if recA.Code != 7 || recB.Code != 137 || recA.Unknown || recB.Unknown {
			t.Errorf("%+v, %+v", recA, recB)
		}
	} else if !recA.Unknown || !recB.Unknown {
		t.Errorf("%+v, %+v", recA, recB)
	}
	s.connect()
	if r := s.awaitController(old); len(r.IDs) != 0 {
		t.Errorf("dead containers are still known: %v", r.IDs)
	}
	checkTicks(t, s.text("a", "stdout"))
}

// kernelKeepsExit tells whether PIDFD_INFO_EXIT works (Linux 6.15).
func kernelKeepsExit(t *testing.T) bool {
	t.Helper()
	p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	_, ok := reapedStatus(fd)
	return ok
}

// Shim and controller die together: the next pair finds the containers by their
// records and FIFOs.
func TestBothKilled(t *testing.T) {
	s := newStack(t)
	old := s.order(order{Do: "state"}).Pid
	a := s.run("a", ticker)
	s.awaitText("a", "tick 3\n")
	freeze(t, old)
	s.kill(s.pid)
	s.kill(old)
	s.connect()
	p := Process{ID: "a", Pid: a.Pid, StartTime: a.StartTime, Exit: recordPath(s.dir, "a")}
	s.order(order{Do: "recover", ID: "a", Process: p})
	seen := len(s.text("a", "stdout"))
	for len(s.text("a", "stdout")) == seen {
		time.Sleep(time.Millisecond)
	}
	_ = unix.Kill(a.Pid, unix.SIGUSR1)
	if rec := s.exit("a"); rec.Code != 7 && !rec.Unknown {
		t.Errorf("%+v", rec)
	}
	checkTicks(t, s.text("a", "stdout"))
	// A pid that is somebody else's by now is not adopted.
	p = Process{ID: "b", Pid: os.Getpid(), StartTime: 1, Exit: recordPath(s.dir, "a") + "b"}
	if _, err := s.c.Adopt(s.ctx, p); err != nil {
		t.Fatal(err)
	}
	if rec, err := ReadExit(p.Exit); err != nil || !rec.Unknown {
		t.Errorf("%+v, %v", rec, err)
	}
}

// freeze stops a process and waits until all its threads have: on a busy machine the
// others run on until one of them takes note of the signal.
func freeze(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for stopped := false; !stopped; time.Sleep(time.Millisecond) {
		stopped = true
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, path := range threads {
			b, _ := os.ReadFile(path)
			_, rest, _ := strings.Cut(string(b), ") ")
			stopped = stopped && strings.HasPrefix(rest, "T")
		}
	}
}

// A stopped controller that hangs on to its lock is killed, in the end.
func TestHungControllerIsReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("takes handoverPatience")
	}
	t.Parallel()
	s := newStack(t)
	old := s.order(order{Do: "state"}).Pid
	freeze(t, old)
	s.kill(s.pid)
	c, err := Ensure(s.ctx, startOptions(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	s.c = c
	s.awaitController(old)
}

// A controller that fails at once is started again at once, then ever slower.
func TestBackoff(t *testing.T) {
	var b backoff
	var got []time.Duration
	for range 9 {
		got = append(got, b.next(0))
	}
	ms := time.Millisecond
	want := []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}
	if !slices.Equal(got, want) {
		t.Error(got)
	}
	if d := b.next(goodLife); d != 0 {
		t.Error("not reset:", d)
	}
}
