package scheduler

import (
	"testing"

	"stack/runtime"
)

// actions are the actions on a container that are in the journal.
func (b *bench) actions(sub *Subscription, name string) (out []string) {
	for _, ev := range sub.Take() {
		if ev.Name == name && ev.Action != "" {
			out = append(out, ev.Action)
		}
	}
	return out
}

const limited = `
services:
  a:
    image: rootfs:/img
    command: [a]
    network_mode: none
    mem_limit: 32m
`

// TestOOMOfChildIsTold: the program goes on, people are told; and its own end by the
// same hand is told once.
func TestOOMOfChildIsTold(t *testing.T) {
	b := newBench(t)
	b.ooms = make(chan struct{})
	defer close(b.ooms)
	sub := b.c.Bus.Subscribe()
	defer sub.Close()
	b.must(Command{Verb: VerbUp}, limited)
	b.actions(sub, "p-a-1")
	b.ooms <- struct{}{}
	b.ooms <- struct{}{} // the first is through
	eventually(t, "it is told", func() bool {
		got := b.actions(sub, "p-a-1")
		return len(got) > 0 && got[0] == "oom"
	})
	if b.instances()["p-a-1"].State != StateRunning {
		t.Error("it does not run any more")
	}
}

func TestOOMIsToldOnce(t *testing.T) {
	for _, told := range []bool{false, true} {
		b := newBench(t)
		b.must(Command{Verb: VerbUp}, limited)
		id := b.instances()["p-a-1"].ID
		sub := b.c.Bus.Subscribe()
		b.c.mu.Lock()
		i := b.c.instances[id]
		b.c.memory[id] = &memoryWatch{cancel: func() {}, started: i.Started, told: told}
		b.c.publishExit(i, runtime.Exit{Code: 137, OOMKilled: true})
		b.c.mu.Unlock()
		want := 2
		if told {
			want = 1
		}
		if got := b.actions(sub, "p-a-1"); len(got) != want || got[len(got)-1] != "die" {
			t.Errorf("told %v: %v", told, got)
		}
		sub.Close()
	}
}
