package scheduler

import (
	"strings"
	"testing"
)

const oldFile = `
services:
  a:
    image: rootfs:/img
    command: [old]
    network_mode: none
    restart: always
    configs: [greeting]
  other:
    image: rootfs:/img
    command: [other]
    network_mode: none
configs:
  greeting: {content: old}
`

func newFile() string { return strings.NewReplacer("old", "new", "always", "no").Replace(oldFile) }

// made are the program and the greeting of the last creation of a's container.
func (b *bench) made(name string) (program, greeting string) {
	id := b.instances()[name].ID
	b.machine.mu.Lock()
	defer b.machine.mu.Unlock()
	for _, f := range b.files[id] {
		if f.Target == "/greeting" {
			greeting = string(f.Content)
		}
	}
	return b.programs[id], greeting
}

func (b *bench) wantMade(what, want string) {
	b.t.Helper()
	if program, greeting := b.made("p-a-1"); program != want || greeting != want {
		b.t.Errorf("%s: %s with greeting %s, want both %s", what, program, greeting, want)
	}
}

func (b *bench) must(cmd Command, file string) {
	b.t.Helper()
	if file == "" {
		if err := b.do(cmd, nil); err != nil {
			b.t.Fatal(err)
		}
		return
	}
	if err := b.do(cmd, loadStack(b.t, file)); err != nil {
		b.t.Fatal(err)
	}
}

// restarts awaits the n-th run of a's container.
func (b *bench) restarts(id string, n int) {
	b.t.Helper()
	eventually(b.t, "it runs again", func() bool {
		b.machine.mu.Lock()
		defer b.machine.mu.Unlock()
		runs := 0
		for _, s := range b.started {
			if s == id {
				runs++
			}
		}
		return runs == n
	})
}

// TestRestartKeepsConfiguration: what the file says by now reaches a container only
// through an up that names its service, and as a new container.
func TestRestartKeepsConfiguration(t *testing.T) {
	b := newBench(t)
	b.must(Command{Verb: VerbUp}, oldFile)
	id := b.instances()["p-a-1"].ID
	b.must(Command{Verb: VerbUp, Services: []string{"other"}}, newFile())
	if b.instances()["p-a-1"].ID != id {
		t.Fatal("an up of another service recreated it")
	}
	b.machine.end(id, 1)
	b.restarts(id, 2)
	b.wantMade("its own policy", "old")
	b.must(Command{Verb: VerbRestart}, "")
	b.restarts(id, 3)
	b.wantMade("restart", "old")
	b.must(Command{Verb: VerbUp, NoRecreate: true}, newFile())
	b.must(Command{Verb: VerbStop}, "")
	b.must(Command{Verb: VerbStart}, "")
	b.restarts(id, 4)
	b.wantMade("up --no-recreate, stop, start", "old")

	b.boot()
	b.must(Command{Verb: VerbRestart, Services: []string{"a"}}, "")
	b.restarts(id, 5)
	b.wantMade("a new controller", "old")
	if b.instances()["p-a-1"].ID != id {
		t.Fatal("a new controller recreated it")
	}

	b.must(Command{Verb: VerbUp}, newFile())
	b.wantMade("up", "new")
	if b.instances()["p-a-1"].ID == id {
		t.Error("up kept the container of another configuration")
	}
}

// TestOrphanKeepsItsPolicy: a service that left the file still restarts.
func TestOrphanKeepsItsPolicy(t *testing.T) {
	b := newBench(t)
	b.must(Command{Verb: VerbUp}, oldFile)
	id := b.instances()["p-a-1"].ID
	b.must(Command{Verb: VerbUp}, "services:\n  other:\n    image: rootfs:/img\n    command: [other]\n    network_mode: none\n")
	b.machine.end(id, 1)
	b.restarts(id, 2)
	b.wantMade("the policy of an orphan", "old")
}

// TestImageMovesOnlyWithUp: a reference that leads to another image by now changes
// nothing before an up of its service.
func TestImageMovesOnlyWithUp(t *testing.T) {
	b := newBench(t)
	b.must(Command{Verb: VerbUp}, oldFile)
	id := b.instances()["p-a-1"].ID
	b.set(func() { b.build = "2" })
	b.boot()
	b.must(Command{Verb: VerbUp, Services: []string{"other"}}, oldFile)
	b.must(Command{Verb: VerbRestart, Services: []string{"a"}}, "")
	b.restarts(id, 2)
	if b.instances()["p-a-1"].ID != id {
		t.Fatal("it was recreated")
	}
	b.must(Command{Verb: VerbUp, Services: []string{"a"}}, oldFile)
	if b.instances()["p-a-1"].ID == id {
		t.Error("up kept the container of another image")
	}
}
