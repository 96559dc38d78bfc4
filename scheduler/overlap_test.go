package scheduler

import (
	"slices"
	"testing"
)

// TestDownWaitsForStart: a removal beside a start would take away what that makes,
// and leave what it makes afterwards.
func TestDownWaitsForStart(t *testing.T) {
	st := loadStack(t, twoServices)
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	db := w.byName("p-db-1")
	db.State = StateCreated
	starting := string(OpStart) + " p-db-1"
	w.seen.InFlight[starting] = "db"
	want = wanted(t, want.Wish, st, Command{Verb: VerbDown})
	plan := Reconcile(want, w.seen, w.now)
	at := slices.IndexFunc(plan.Ops, func(op Op) bool { return op.Kind == OpRemove && op.Instance == db.ID })
	if at < 0 || !slices.Contains(plan.Ops[at].After, starting) {
		t.Errorf("the removal does not wait for the start:\n%s", plan)
	}
}

// TestUpReachesWhatRuns: an `up` that finds a container running has been obeyed; the
// container's later end is its policy's matter.
func TestUpReachesWhatRuns(t *testing.T) {
	b := newBench(t)
	st := loadStack(t, twoServices)
	for range 2 {
		if err := b.do(Command{Verb: VerbUp}, st); err != nil {
			t.Fatal(err)
		}
	}
	b.machine.end(b.instances()["p-web-1"].ID, 0)
	eventually(t, "the exit is known", func() bool { return b.instances()["p-web-1"].State == StateExited })
	if err := b.do(Command{Verb: VerbScale, Services: []string{"db"}, Scale: map[string]int{"db": 1}}, st); err != nil {
		t.Fatal(err)
	}
	if len(b.started) != 2 {
		t.Errorf("%d starts, want 2: the one that ended was started again", len(b.started))
	}
}
