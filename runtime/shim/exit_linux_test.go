package shim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	s := newStack(t)
	cases := []struct {
		order
		code int
	}{
		{order{ID: "three", Script: "exit 3"}, 3},
		{order{ID: "zero", Script: "true"}, 0},
		{order{ID: "killed", Script: "kill -9 $$"}, 137},
		{order{ID: "terminated", Script: "kill $$"}, 143}, // SIGTERM is not ignored
		{order{ID: "late", Script: "exit 4", Late: true}, 4},
		{order{ID: "lateblind", Script: "exit 5", Late: true, Blind: true}, 5},
		{order{ID: "blind", Script: "sleep 0.05; exit 6", Blind: true}, 6},
	}
	wake, err := s.c.Wake(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		c.Do = "run"
		r := s.order(c.order)
		<-wake
		rec := s.exit(c.ID)
		if rec.Code != c.code || rec.Pid != r.Pid || rec.StartTime != r.StartTime && !c.Late ||
			rec.Unknown || rec.ID != c.ID || time.Since(rec.At) > time.Minute {
			t.Errorf("%s: %+v, want code %d of %+v", c.ID, rec, c.code, r)
		}
	}
}

// An orphan reaped long ago must not be taken for a container with its pid.
func TestEarlyExitsAreMatchedByStartTime(t *testing.T) {
	s := newServer(t.TempDir(), nil)
	s.early = []early{{pid: 42, start: 7}, {pid: 42, start: 9}}
	if _, ok := s.takeEarly(42, 8); ok {
		t.Fatal("matched by pid alone")
	}
	if _, ok := s.takeEarly(42, 7); !ok || len(s.early) != 1 {
		t.Fatal("not matched")
	}
	s.early = []early{{pid: os.Getpid(), start: 1}}
	if _, ok := s.takeEarly(os.Getpid(), 0); ok {
		t.Fatal("a living process was matched")
	}
}

// When the wake comes, the log is complete.
func TestLogIsCompleteAtWake(t *testing.T) {
	s := newStack(t)
	wake, err := s.c.Wake(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.run("a", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf end; echo oops >&2")
	<-wake
	var want strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if got := s.text("a", "stdout"); got != want.String()+"end" {
		t.Fatalf("%d bytes of %d", len(got), want.Len()+3)
	}
	if got := s.text("a", "stderr"); got != "oops\n" {
		t.Fatalf("%q", got)
	}
}

// A descriptor that leaked out of the container must not keep its log open.
func TestLeakedDescriptor(t *testing.T) {
	s := newStack(t)
	s.run("a", "setsid sleep 1000 & echo bye; exit 2")
	if rec := s.exit("a"); rec.Code != 2 {
		t.Fatal(rec)
	}
	s.awaitText("a", "bye\n")
	for s.order(order{Do: "state"}); ; time.Sleep(time.Millisecond) {
		taken, err := s.c.Take(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		open := len(taken.Known)
		for _, f := range taken.Files {
			f.Close()
		}
		if open == 0 {
			break
		}
	}
}

func TestRestartUnderTheSameID(t *testing.T) {
	s := newStack(t)
	for i := range 5 {
		os.Remove(recordPath(s.dir, "a"))
		r := s.run("a", fmt.Sprintf("echo run %d; exit %d", i, i))
		if rec := s.exit("a"); rec.Code != i || rec.Pid != r.Pid {
			t.Fatalf("run %d: %+v", i, rec)
		}
		s.awaitText("a", fmt.Sprintf("run %d\n", i))
	}
	if got, want := s.text("a", "stdout"), "run 0\nrun 1\nrun 2\nrun 3\nrun 4\n"; got != want {
		t.Fatalf("%q", got)
	}
	// What the shim dropped of earlier uses is not taken for the present one.
	old := s.order(order{Do: "state"}).Pid
	s.run("a", ticker)
	s.awaitText("a", "tick 1\n")
	s.kill(s.pid)
	s.connect()
	s.awaitController(old)
	seen := len(s.text("a", "stdout"))
	for len(s.text("a", "stdout")) == seen && s.ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if s.ctx.Err() != nil {
		t.Error("the new use's output is not copied after the shim's death")
	}
}
