package scheduler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stack/spec"
)

// loadStack reads a stack file given as text.
func loadStack(t *testing.T, text string) *spec.Stack {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stack.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := spec.Load(context.Background(), spec.Options{Files: []string{file}, Project: "p"})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

const twoServices = `
services:
  web:
    image: rootfs:/img
    command: [web]
    network_mode: none
    depends_on: [db]
  db:
    image: rootfs:/img
    command: [db]
    network_mode: none
`

func TestControllerUpDown(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, twoServices)
	if err := b.do(Command{Verb: VerbUp, Scale: map[string]int{"web": 3}}, st); err != nil {
		t.Fatal(err)
	}
	if n := b.alive(); n != 4 {
		t.Errorf("%d containers run, want 4", n)
	}
	if first := b.instances()["p-db-1"]; first == nil || b.started[0] != first.ID {
		t.Error("db did not start first")
	}
	if err := b.do(Command{Verb: VerbDown}, nil); err != nil {
		t.Fatal(err)
	}
	if n := b.alive(); n != 0 || b.store.Exists() {
		t.Errorf("%d containers run after down; state left: %v", n, b.store.Exists())
	}
}

// TestFailedStartReleasesNoDependents would fail with an executor that starts
// dependents when a dependency has ended rather than succeeded.
func TestFailedStartReleasesNoDependents(t *testing.T) {
	b := newBench(t)
	b.refuses("db")
	err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices))
	if err == nil || !strings.Contains(err.Error(), `cannot execute "db"`) {
		t.Fatalf("up: %v", err)
	}
	if len(b.started) != 0 {
		t.Error("a dependent of the failed service was started")
	}
	if web := b.instances()["p-web-1"]; web == nil || web.State != StateCreated {
		t.Errorf("web is %+v, want created", web)
	}
	delete(b.refuse, "db")
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices)); err != nil {
		t.Fatalf("up after the cause is gone: %v", err)
	}
}

func TestMissingImageFails(t *testing.T) {
	b := newBench(t)
	err := b.do(Command{Verb: VerbUp}, loadStack(t, "services:\n  a:\n    image: rootfs:/missing\n    command: [a]\n    network_mode: none\n"))
	if err == nil || !strings.Contains(err.Error(), "no such image") {
		t.Fatalf("up: %v", err)
	}
	if len(b.instances()) != 0 {
		t.Error("something was created")
	}
}

func TestRestartPolicyAndHold(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, "services:\n  a:\n    image: rootfs:/img\n    command: [a]\n    network_mode: none\n    restart: always\n")
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	id := b.instances()["p-a-1"].ID
	b.machine.end(id, 1)
	eventually(t, "the policy starts it again", func() bool {
		i := b.instances()["p-a-1"]
		return i.Restarts == 1 && i.State == StateRunning && b.alive() == 1
	})
	if err := b.do(Command{Verb: VerbKill, Signal: "KILL"}, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // longer than the first back-off
	if i := b.instances()["p-a-1"]; i.State != StateExited || b.alive() != 0 {
		t.Errorf("a killed container is %s, %d run", i.State, b.alive())
	}
}

func TestStopKillsAfterGrace(t *testing.T) {
	b := newBench(t)
	b.set(func() { b.stubborn["db"] = true })
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices)); err != nil {
		t.Fatal(err)
	}
	short := 50 * time.Millisecond
	if err := b.do(Command{Verb: VerbStop, Timeout: &short}, nil); err != nil {
		t.Fatal(err)
	}
	all := b.instances()
	if got := all["p-db-1"].Exit.Code; got != 137 {
		t.Errorf("a stubborn container ended with %d, want 137", got)
	}
	if got := all["p-web-1"].Exit.Code; got != 143 {
		t.Errorf("a well-behaved container ended with %d, want 143", got)
	}
}

// TestControllerDiesAnywhere boots a fresh controller on what is recorded, with
// the world as the dead one left it.
func TestControllerDiesAnywhere(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, twoServices)
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	before := b.instances()["p-web-1"].ID
	b.boot()
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	if b.instances()["p-web-1"].ID != before || len(b.started) != 2 {
		t.Error("a fresh controller touched what was right")
	}
	// An exit while nobody looked.
	b.end()
	<-b.over
	id := b.instances()["p-db-1"].ID
	b.machine.end(id, 7)
	b.boot()
	eventually(t, "the exit is known", func() bool {
		i := b.instances()["p-db-1"]
		return i.State == StateExited && i.Exit.Code == 7
	})
	// A process that vanished with no record.
	b.end()
	<-b.over
	b.set(func() { delete(b.running, b.instances()["p-web-1"].ID) })
	b.boot()
	eventually(t, "the vanished one is unknown", func() bool {
		i := b.instances()["p-web-1"]
		return i.State == StateExited && i.Exit.Unknown
	})
}

func TestOneShotIsNotRunAgain(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, twoServices)
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	b.machine.end(b.instances()["p-web-1"].ID, 0)
	eventually(t, "the exit is known", func() bool { return b.instances()["p-web-1"].State == StateExited })
	time.Sleep(100 * time.Millisecond)
	if len(b.started) != 2 {
		t.Fatal("the loop ran a one-shot again")
	}
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	if len(b.started) != 3 {
		t.Error("a new up did not start it again")
	}
}

func TestUnknownServiceIsTold(t *testing.T) {
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices)); err != nil {
		t.Fatal(err)
	}
	err := b.do(Command{Verb: VerbStop, Services: []string{"nope"}}, nil)
	if err == nil || err.Error() != "no such service: nope" {
		t.Errorf("stop nope: %v", err)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
