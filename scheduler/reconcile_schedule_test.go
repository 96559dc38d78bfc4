package scheduler

import (
	"slices"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
	"stack/spec"
)

// jobStack is one service with x-stack.
func jobStack(x map[string]any) *spec.Stack {
	st := testStack(testService{name: "job"})
	job := st.Services["job"]
	job.Extensions = types.Extensions{"x-stack": x}
	st.Services["job"] = job
	return st
}

func (w *world) end(i *Instance, code int) {
	w.now = w.now.Add(time.Second)
	i.Exited(runtime.Exit{Code: code, At: w.now}, RestartPolicy{}, w.now)
}

// begun settles and returns how often the job was started meanwhile.
func (w *world) begun(t *testing.T, want Want) int {
	w.order = nil
	w.settle(t, want, nil)
	n := 0
	for _, op := range w.order {
		if op == "start p-job-1" {
			n++
		}
	}
	return n
}

func TestOnce(t *testing.T) {
	st := jobStack(map[string]any{"once": true})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	up := func(st *spec.Stack, cmd Command) int {
		t.Helper()
		want = wanted(t, want.Wish, st, cmd)
		return w.begun(t, want)
	}
	if n := w.begun(t, want); n != 1 {
		t.Fatalf("the first up started it %d times", n)
	}
	w.end(w.replica("job", 1), 1)
	if n := up(st, Command{Verb: VerbUp}); n != 1 {
		t.Errorf("it failed, and the next up started it %d times", n)
	}
	w.end(w.replica("job", 1), 0)
	for _, c := range []struct {
		what string
		cmd  Command
		want int
	}{
		{"up", Command{Verb: VerbUp}, 0},
		{"up by name", Command{Verb: VerbUp, Services: []string{"job"}}, 0},
		{"start", Command{Verb: VerbStart, Services: []string{"job"}}, 1},
		{"up again", Command{Verb: VerbUp}, 0},
		{"restart", Command{Verb: VerbRestart, Services: []string{"job"}}, 1},
		{"force", Command{Verb: VerbUp, ForceRecreate: true}, 1},
	} {
		if n := up(st, c.cmd); n != c.want {
			t.Errorf("%s started it %d times, want %d", c.what, n, c.want)
		}
		if r := w.replica("job", 1); r.live() {
			w.end(r, 0)
		}
	}
	if s := Reconcile(want, w.seen, w.now).Services["job"]; !s.Done {
		t.Error("it is not done:", s)
	}
	other := jobStack(map[string]any{"once": true})
	job := other.Services["job"]
	job.MemLimit = 64 << 20 // what would else be updated
	other.Services["job"] = job
	if n := up(other, Command{Verb: VerbUp}); n != 1 {
		t.Errorf("its configuration changed, and it was started %d times", n)
	}
}

func TestSchedule(t *testing.T) {
	st := jobStack(map[string]any{"schedule": "*/5 * * * *"})
	w := newWorld()
	w.now = testNow.Add(time.Minute)
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	if n := w.begun(t, want); n != 0 || len(w.seen.replicas("job")) != 1 {
		t.Fatalf("up started it %d times, there are %d replicas", n, len(w.seen.replicas("job")))
	}
	if p := Reconcile(want, w.seen, w.now); p.RequeueAfter <= 3*time.Minute || p.RequeueAfter > 4*time.Minute || !p.Services["job"].Done {
		t.Errorf("looks again after %v: %s", p.RequeueAfter, p)
	}
	w.now = testNow.Add(5 * time.Minute)
	if n := w.begun(t, want); n != 1 {
		t.Fatalf("when it was due it was started %d times", n)
	}
	if n := w.begun(t, want); n != 0 {
		t.Errorf("it was started %d times more", n)
	}
	// It still runs when it is due again: that run is left out, once.
	w.now = testNow.Add(10*time.Minute + time.Second)
	p := Reconcile(want, w.seen, w.now)
	if !slices.ContainsFunc(p.Ops, func(op Op) bool { return op.Kind == OpSkip }) {
		t.Fatalf("nothing is left out:\n%s", p)
	}
	w.replica("job", 1).Ticked = w.now
	if p := Reconcile(want, w.seen, w.now); !p.Empty() {
		t.Errorf("it is left out again:\n%s", p)
	}
	w.end(w.replica("job", 1), 0)
	if n := w.begun(t, want); n != 0 {
		t.Errorf("it was made up for %d times", n)
	}
	// Nobody looked when it was due: not made up for, but for a moment's delay.
	w.now = testNow.Add(16 * time.Minute)
	if n := w.begun(t, want); n != 0 {
		t.Errorf("a missed run was made up for %d times", n)
	}
	w.now = testNow.Add(20*time.Minute + scheduleSlack/2)
	if n := w.begun(t, want); n != 1 {
		t.Errorf("after a moment's delay it was started %d times", n)
	}
	// A new file replaces it when it has ended, and does not start it.
	other := jobStack(map[string]any{"schedule": "*/5 * * * *"})
	job := other.Services["job"]
	job.Command = types.ShellCommand{"other"}
	other.Services["job"] = job
	want = wanted(t, want.Wish, other, Command{Verb: VerbUp})
	id := w.replica("job", 1).ID
	if n := w.begun(t, want); n != 0 || w.replica("job", 1).ID != id {
		t.Error("a run under way was cut short")
	}
	w.end(w.replica("job", 1), 0)
	if n := w.begun(t, want); n != 0 || w.replica("job", 1).ID == id {
		t.Errorf("it was started %d times; replaced: %v", n, w.replica("job", 1).ID != id)
	}
	// By name it starts at any time; stopped, it does not.
	want = wanted(t, want.Wish, other, Command{Verb: VerbStart, Services: []string{"job"}})
	if n := w.begun(t, want); n != 1 {
		t.Errorf("start started it %d times", n)
	}
	want = wanted(t, want.Wish, other, Command{Verb: VerbStop})
	w.now = testNow.Add(25 * time.Minute)
	if n := w.begun(t, want); n != 0 {
		t.Errorf("a stopped one was started %d times", n)
	}
	if p := Foresee(wanted(t, Wish{}, st, Command{Verb: VerbUp}), newWorld().seen, testNow); slices.ContainsFunc(p.Ops, func(op Op) bool { return op.Kind == OpStart }) {
		t.Errorf("the plan of an up starts it:\n%s", p)
	}
}

// TestJobSchedule: what the triggers of a job say about runs that meet or are missed.
func TestJobSchedule(t *testing.T) {
	every := func(c types.ScheduleConfig) Want {
		st := testStack()
		st.Jobs = types.Jobs{"job": {
			Name: "job", Triggers: &types.TriggerConfig{Schedule: []types.ScheduleConfig{c}},
			ContainerSpec: types.ContainerSpec{Image: "app"},
		}}
		st, err := st.WithJobs()
		if err != nil {
			t.Fatal(err)
		}
		return wanted(t, Wish{}, st, Command{Verb: VerbUp})
	}
	for name, c := range map[string]struct {
		schedule       types.ScheduleConfig
		queued, missed int // runs begun for one that met another, and after an absence
	}{
		"by default":  {types.ScheduleConfig{Cron: "*/5 * * * *"}, 0, 1},
		"queue, skip": {types.ScheduleConfig{Cron: "*/5 * * * *", Concurrency: "queue", MissedFires: "skip"}, 1, 0},
		"forbid, one": {types.ScheduleConfig{Cron: "*/5 * * * *", Concurrency: "forbid", MissedFires: "one"}, 0, 1},
	} {
		w, want := newWorld(), every(c.schedule)
		w.now = testNow.Add(time.Minute)
		w.begun(t, want)
		w.now = testNow.Add(5 * time.Minute)
		if n := w.begun(t, want); n != 1 {
			t.Fatalf("%s: when it was due it was started %d times", name, n)
		}
		w.now = testNow.Add(12 * time.Minute)
		for _, op := range Reconcile(want, w.seen, w.now).Ops {
			if op.Kind == OpSkip {
				w.replica("job", 1).Ticked = w.now
			}
		}
		w.end(w.replica("job", 1), 0)
		if n := w.begun(t, want); n != c.queued {
			t.Errorf("%s: after one that it met it was started %d times, want %d", name, n, c.queued)
		}
		if r := w.replica("job", 1); r.live() {
			w.end(r, 0)
		}
		w.now = testNow.Add(time.Hour + time.Minute)
		if n := w.begun(t, want); n != c.missed {
			t.Errorf("%s: after an hour away it was started %d times, want %d", name, n, c.missed)
		}
	}
}
