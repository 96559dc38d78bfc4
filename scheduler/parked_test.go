package scheduler

import (
	"slices"
	"testing"

	"stack/netns"
)

const networked = `
services:
  web:
    image: rootfs:/img
    command: [web]
  db:
    image: rootfs:/img
    command: [db]
`

func (m *machine) detachments() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Concat(m.detached...)
	m.detached = nil
	return all
}

// The links of a project that goes are left to the removal of its networks.
func TestDownDetachesNobody(t *testing.T) {
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices)); err != nil {
		t.Fatal(err)
	}
	b.detachments()
	if err := b.do(Command{Verb: VerbDown}, nil); err != nil {
		t.Fatal(err)
	}
	if got := b.detachments(); len(got) > 0 {
		t.Errorf("down of everything detaches %d containers by themselves", len(got))
	}
	if len(b.c.parked) != 2 {
		t.Errorf("%d containers are parked, want 2", len(b.c.parked))
	}
}

// A command that keeps the project takes the links of those that were parked away
// before anything starts.
func TestUpUnparks(t *testing.T) {
	b := newBench(t)
	b.c.mu.Lock()
	b.c.parked = []string{"old"}
	b.c.mu.Unlock()
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, twoServices)); err != nil {
		t.Fatal(err)
	}
	if got := b.detachments(); !slices.Contains(got, "old") || len(b.c.parked) > 0 {
		t.Errorf("detached %v, still parked %v", got, b.c.parked)
	}
}

// With orphans that stay the networks stay too: whoever ends is detached.
func TestOrphansParkNobody(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, twoServices)
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	delete(st.Services, "web")
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	db := b.instances()["p-db-1"].ID
	b.detachments()
	if err := b.do(Command{Verb: VerbDown}, nil); err != nil {
		t.Fatal(err)
	}
	if got := b.detachments(); !slices.Contains(got, db) {
		t.Errorf("detached %v, want %s", got, db)
	}
}

// Where a controller died over a down, and the next command keeps the project, the
// leases of those that are gone go.
func TestStraysAreDetached(t *testing.T) {
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, loadStack(t, networked)); err != nil {
		t.Log(err) // the bench has no resolver: it is the network that counts
	}
	var known string
	for _, i := range b.instances() {
		known = i.ID
	}
	b.set(func() {
		b.leases = []netns.Lease{{Project: "p", Container: "gone"}, {Project: "other", Container: "theirs"}, {Project: "p", Container: known}}
	})
	b.boot()
	eventually(t, "the stray is detached", func() bool { return slices.Contains(b.detachments(), "gone") })
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if got := b.detachments(); slices.Contains(got, "theirs") || slices.Contains(got, known) {
		t.Errorf("detached %v", got)
	}
}
