package scheduler

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestRecordGoesWithInstance marks a container, as a second rm does, while the first
// is deleting its files. The mark must not leave a record of what is gone.
func TestRecordGoesWithInstance(t *testing.T) {
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices)); err != nil {
		t.Fatal(err)
	}
	if err := b.do(Command{Verb: VerbStop}, nil); err != nil {
		t.Fatal(err)
	}
	b.boot() // a new controller takes everything off the network that it removes
	web := b.instances()["p-web-1"]
	reached := make(chan struct{})
	b.machine.mu.Lock()
	b.forgetting = func(id string) {
		if id == web.ID {
			b.c.mu.Lock() // the second command is at work: the first is about to delete
			close(reached)
		}
	}
	b.machine.mu.Unlock()
	removed := make(chan error, 1)
	go func() { removed <- b.do(Command{Verb: VerbRemove, Services: []string{"web"}}, nil) }()
	<-reached
	eventually(t, "its files are deleted", func() bool { return !exists(b.store.LayerDir(web.ID)) })
	time.Sleep(20 * time.Millisecond) // for a removal that does not wait for its turn
	if !exists(b.store.record(web.ID)) {
		t.Error("the record is gone while the instance can be marked")
	}
	marked := b.c.instances[web.ID]
	b.c.save(marked)
	b.c.mu.Unlock()
	if err := <-removed; err != nil {
		t.Fatal(err)
	}
	b.c.mu.Lock()
	b.c.save(marked) // by one that still holds it
	b.c.mu.Unlock()
	if _, err := os.Stat(b.store.record(web.ID)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a removed container is recorded again: %v", err)
	}
}

// TestRunThatCannotStartLeavesNothing is the client and the loop removing one
// container at once.
func TestRunThatCannotStartLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.refuses("nonesuch")
	st := loadStack(t, twoServices)
	for range 20 {
		run := &RunOptions{Remove: true, Command: []string{"nonesuch"}}
		err := b.do(Command{Verb: VerbRun, Services: []string{"db"}, NoDeps: true, Run: run}, st)
		var start *StartError
		if !errors.As(err, &start) {
			t.Fatalf("run: %v", err)
		}
		for name := range b.instances() {
			b.do(Command{Verb: VerbRemove, Containers: []string{name}, Force: true}, nil) // it may be gone
		}
	}
	eventually(t, "nothing is recorded", func() bool { return len(b.instances()) == 0 })
}
