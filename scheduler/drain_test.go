package scheduler

import (
	"slices"
	"strings"
	"testing"

	"stack/netns"
)

// order notes what the kernel is told and what a container is told, one after the
// other.
func (m *machine) order() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// A replica that stops is out of the balance before it is told to.
func TestDrainBeforeSignal(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, twoServices)
	if err := b.do(Command{Verb: VerbUp, Scale: map[string]int{"web": 2}}, st); err != nil {
		t.Fatal(err)
	}
	// The fake machine has no networks: give the replicas a port by hand.
	b.c.mu.Lock()
	for _, i := range b.c.instances {
		if i.Service == "web" {
			i.Ports = []netns.Port{{Container: i.ID, Service: "web", Protocol: "tcp", HostPort: 80, Target: 80}}
		}
	}
	b.c.mu.Unlock()
	b.c.Wake()
	eventually(t, "both replicas take connections", func() bool {
		b.c.mu.Lock()
		defer b.c.mu.Unlock()
		return len(destinations(b.c.balance.config)) == 2
	})
	b.set(func() { b.told = nil })
	if err := b.do(Command{Verb: VerbUp, Scale: map[string]int{"web": 1}}, st); err != nil {
		t.Fatal(err)
	}
	told := b.order()
	drained, killed := slices.Index(told, "balance 1 of 2"), slices.Index(told, "kill")
	led := slices.Index(told[max(drained, 0):], "lead")
	if drained < 0 || killed < 0 || led < 0 || drained > killed || drained+led > killed {
		t.Errorf("the order was %v, want the balance and the lead before the kill", told)
	}
	// When all of it stops, nobody could take over: it is told at once.
	b.set(func() { b.told = nil })
	if err := b.do(Command{Verb: VerbStop, Services: []string{"web"}}, nil); err != nil {
		t.Fatal(err)
	}
	told = b.order()
	killed = slices.Index(told, "kill")
	if killed < 0 || slices.ContainsFunc(told[:killed], func(s string) bool { return strings.HasPrefix(s, "balance") }) {
		t.Errorf("the order was %v, want the kill before any balance", told)
	}
	if !slices.Contains(told[max(killed, 0):], "lead") {
		t.Errorf("the order was %v: stop returned before clients knew", told)
	}
}
