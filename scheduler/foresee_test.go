package scheduler

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"
)

func TestForesee(t *testing.T) {
	st := testStack(
		testService{name: "web", deps: needs(types.ServiceConditionHealthy, "db")},
		testService{name: "db", deps: needs(types.ServiceConditionCompletedSuccessfully, "init")},
		testService{name: "init"})
	w := newWorld()
	for name := range st.Services {
		w.seen.Digests[name] = ""
	}
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	golden := func(what, text string) {
		t.Helper()
		if got := Foresee(want, w.seen, w.now).String(); got != text {
			t.Errorf("%s:\n%s\nwant:\n%s", what, got, text)
		}
	}
	golden("a first up", `create network p_default: declared
create p-init-1: replica 1 is missing (after create network p_default)
create p-db-1: replica 1 is missing (after create network p_default)
create p-web-1: replica 1 is missing (after create network p_default)
create p-web-2: replica 2 is missing (after create network p_default)
start p-init-1: wanted running (after create p-init-1)
start p-db-1: wanted running
start p-web-1: wanted running
start p-web-2: wanted running
`)
	w.settle(t, want, func(Plan) {
		for _, i := range w.seen.Instances {
			if i.State == StateRunning {
				i.Health = HealthHealthy
			}
			if i.Service == "init" && i.State == StateRunning {
				i.State, i.Exit = StateExited, w.ended()
			}
		}
	})
	golden("a converged world", "")
	w.byName("p-db-1").Hash = "old"
	golden("a changed service", `stop p-db-1: its configuration changed, stop-first as it has no health check
replace p-db-1: its configuration changed, stop-first as it has no health check (after stop p-db-1)
start p-db-1: its configuration changed, stop-first as it has no health check (after replace p-db-1)
`)
	want = wanted(t, want.Wish, st, Command{Verb: VerbDown})
	golden("down", `stop p-web-1: down
stop p-web-2: down
remove p-web-1: down (after stop p-web-1)
remove p-web-2: down (after stop p-web-2)
stop p-db-1: down (after stop p-web-1, stop p-web-2)
remove p-db-1: down (after stop p-db-1)
remove p-init-1: down (after stop p-db-1)
remove network p_default: down (after remove p-web-1, remove p-web-2, remove p-db-1, remove p-init-1)
`)
}

// What is foreseen is what happens, and seeing it changes nothing.
func TestForeseeIsWhatHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := drawStack(t)
		w, wish := newWorld(), Wish{}
		for range rapid.IntRange(1, 4).Draw(t, "commands") {
			want := wanted(t, wish, st, drawCommand(t, st))
			wish = want.Wish
			before := Reconcile(want, w.seen, w.now).String()
			p := Foresee(want, w.seen, w.now)
			if again := Reconcile(want, w.seen, w.now).String(); again != before {
				t.Fatalf("the world was changed:\n%s\n%s", before, again)
			}
			w.order = nil
			w.settle(t, want, nil)
			foreseen := map[string]int{}
			for _, op := range p.Ops {
				foreseen[op.ID]++
			}
			for _, id := range w.order {
				foreseen[id]--
			}
			for id, n := range foreseen {
				if n != 0 {
					t.Fatalf("%s: foreseen %d times more than done %v:\n%s", id, n, w.order, p)
				}
			}
		}
	})
}
