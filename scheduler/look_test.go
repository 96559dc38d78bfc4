package scheduler

import (
	"testing"
)

const crashing = `
services:
  db:
    image: rootfs:/img
    command: [db]
    restart: always
    network_mode: none
`

// A program that ends before its start has, with no client around: its exit comes
// while nobody may take the record for this run's, and after it only the end of the
// start wakes the loop.
func TestExitDuringStart(t *testing.T) {
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, crashing)); err != nil {
		t.Fatal(err)
	}
	b.machine.mu.Lock()
	b.starting = func(id string) { // its end wakes the loop, as the shim does
		b.machine.end(id, 1)
		eventually(t, "the loop has looked", func() bool { return !b.c.look.Load() })
	}
	b.machine.mu.Unlock()
	b.machine.end(b.instances()["p-db-1"].ID, 1)
	eventually(t, "it is started again and again", func() bool { return b.instances()["p-db-1"].Restarts >= 3 })
}

// The first start of a container finds nothing to clear, and looks for nothing.
func TestFirstStartClearsNothing(t *testing.T) {
	b := newBench(t)
	forgotten := 0
	b.set(func() { b.forgetting = func(string) { forgotten++ } })
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, crashing)); err != nil {
		t.Fatal(err)
	}
	if forgotten > 0 {
		t.Errorf("the shim was told %d times to forget what it cannot know", forgotten)
	}
	b.boot() // what a dead controller may have begun is cleared
	if b.instances()["p-db-1"].untouched {
		t.Error("a recorded container is taken for untouched")
	}
}
