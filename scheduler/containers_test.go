package scheduler

import (
	"errors"
	"testing"
	"time"
)

const lone = "services:\n  a:\n    image: rootfs:/img\n    command: [a]\n    network_mode: none\n    environment: {K: v}\n"

func upLone(t *testing.T) (*bench, string) {
	t.Helper()
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, lone)); err != nil {
		t.Fatal(err)
	}
	return b, b.instances()["p-a-1"].ID
}

// TestRestartContainer would fail if the stop of a restart held the container, or
// if what tidies up after the first run tore down the second.
func TestRestartContainer(t *testing.T) {
	b, id := upLone(t)
	for n := range 5 {
		if err := b.do(Command{Verb: VerbRestart, Containers: []string{"p-a-1"}}, nil); err != nil {
			t.Fatal(err)
		}
		i := b.instances()["p-a-1"]
		if i.ID != id || i.State != StateRunning || b.alive() != 1 || len(b.started) != n+2 {
			t.Fatalf("after restart %d it is %s, %d run, %d starts", n+1, i.State, b.alive(), len(b.started))
		}
	}
}

func TestStopAndStartContainer(t *testing.T) {
	b, _ := upLone(t)
	b.set(func() { b.stubborn["a"] = true })
	at := time.Now()
	short := 50 * time.Millisecond
	if err := b.do(Command{Verb: VerbStop, Containers: []string{"p-a-1"}, Timeout: &short}, nil); err != nil {
		t.Fatal(err)
	}
	if i := b.instances()["p-a-1"]; i.State != StateExited || i.Exit.Code != 137 || time.Since(at) > 9*time.Second {
		t.Errorf("a stubborn container is %s %+v after %v", i.State, i.Exit, time.Since(at))
	}
	state := func(want InstanceState) {
		t.Helper()
		if i := b.instances()["p-a-1"]; i.State != want {
			t.Errorf("it is %s, want %s", i.State, want)
		}
	}
	for _, step := range []struct {
		cmd  Command
		want InstanceState
	}{
		{Command{Verb: VerbStart, Containers: []string{"p-a-1"}}, StateRunning},
		{Command{Verb: VerbStop, Timeout: &short}, StateExited},
		{Command{Verb: VerbStart, Containers: []string{"p-a-1"}}, StateRunning}, // though the service is stopped
		{Command{Verb: VerbStop, Timeout: &short}, StateExited},
		{Command{Verb: VerbStart}, StateRunning},
	} {
		if err := b.do(step.cmd, nil); err != nil {
			t.Fatal(err)
		}
		state(step.want)
	}
}

// TestStartWaitsForTidying pins the order that TestRestartContainer needs.
func TestStartWaitsForTidying(t *testing.T) {
	b, id := upLone(t)
	tidying := string(OpCleanUp) + " p-a-1"
	i := *b.instances()["p-a-1"]
	i.State, i.WantStart = StateExited, i.StartedSeq+1
	w, err := b.store.LoadWish()
	if err != nil {
		t.Fatal(err)
	}
	want, err := NewWant(w)
	if err != nil {
		t.Fatal(err)
	}
	seen := Observed{Instances: []*Instance{&i}, InFlight: map[string]string{tidying: "a"}, Digests: map[string]string{"a": i.Digest}}
	p := Reconcile(want, seen, time.Now())
	if len(p.Ops) != 1 || p.Ops[0].Kind != OpStart || p.Ops[0].Instance != id || len(p.Ops[0].After) != 1 || p.Ops[0].After[0] != tidying {
		t.Errorf("plan while tidying:\n%s", p)
	}
}

func TestDetails(t *testing.T) {
	b, id := upLone(t)
	d, err := b.store.LoadDetails(id)
	if err != nil {
		t.Fatal(err)
	}
	if v := d.Service.Environment["K"]; v == nil || *v != "v" || d.Image.Digest == "" {
		t.Errorf("recorded %+v", d)
	}
	if err := b.do(Command{Verb: VerbRemove, Containers: []string{"p-a-1"}, Force: true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.LoadDetails(id); err == nil {
		t.Error("the details outlive the container")
	}
}

func TestFindContainer(t *testing.T) {
	named := func(id, name string) Container { return Container{Instance: &Instance{ID: id, Name: name}} }
	all := []Container{named("abc1", "web"), named("abd2", "abc"), named("fff3", "db")}
	for _, c := range []struct {
		name, id string
		err      error
	}{
		{"web", "abc1", nil}, {"abc", "abd2", nil}, {"f", "fff3", nil}, {"abd2", "abd2", nil},
		{"ab", "", ErrAmbiguous}, {"x", "", ErrNoContainer}, {"", "", ErrNoContainer},
	} {
		got, err := FindContainer(all, c.name)
		if !errors.Is(err, c.err) || err == nil && got.ID != c.id {
			t.Errorf("%q: %v %v", c.name, got.Instance, err)
		}
	}
}
