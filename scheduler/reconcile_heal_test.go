package scheduler

import (
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime"
)

// ailing is a stack whose replica 1 of web is unhealthy.
func ailing(t *testing.T, change func(*types.ServiceConfig, *Instance)) (*world, Want, *Instance) {
	st := testStack(testService{name: "web"})
	svc := st.Services["web"]
	svc.Restart = types.RestartPolicyAlways
	w := newWorld()
	ill := &Instance{}
	change(&svc, ill)
	st.Services["web"] = svc
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	w.settle(t, want, nil)
	r := w.byName("p-web-1")
	r.Health = HealthUnhealthy
	change(&svc, r)
	return w, want, r
}

func TestUnhealthyIsRestarted(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*types.ServiceConfig, *Instance)
		restarts bool
	}{
		"always":         {func(*types.ServiceConfig, *Instance) {}, true},
		"unless-stopped": {func(s *types.ServiceConfig, _ *Instance) { s.Restart = "unless-stopped" }, true},
		"on-failure":     {func(s *types.ServiceConfig, _ *Instance) { s.Restart = "on-failure" }, true},
		"no":             {func(s *types.ServiceConfig, _ *Instance) { s.Restart = "no" }, false},
		"no policy":      {func(s *types.ServiceConfig, _ *Instance) { s.Restart = "" }, false},
		"opted out": {func(s *types.ServiceConfig, _ *Instance) {
			s.Extensions = types.Extensions{"x-stack": map[string]any{"autoheal": false}}
		}, false},
		"opted in": {func(s *types.ServiceConfig, _ *Instance) {
			s.Extensions = types.Extensions{"x-stack": map[string]any{"autoheal": true}}
		}, true},
		"no attempt left": {func(s *types.ServiceConfig, i *Instance) {
			s.Restart, i.History.Attempts = "on-failure:2", 2
		}, false},
		"killed by a person": {func(_ *types.ServiceConfig, i *Instance) { i.Held = true }, false},
		"paused":             {func(_ *types.ServiceConfig, i *Instance) { i.State, i.WantPaused = StatePaused, true }, false},
	} {
		w, want, r := ailing(t, c.change)
		plan := Reconcile(want, w.seen, w.now)
		restarts := len(plan.Ops) == 1 && plan.Ops[0].Kind == OpStop && plan.Ops[0].Unhealthy && plan.Ops[0].Instance == r.ID
		if restarts != c.restarts || !restarts && len(plan.Ops) > 0 {
			t.Errorf("%s: the plan is\n%s", name, plan)
		}
	}
}

// An update judges its replicas by their health: it must see that one is ill.
func TestUnhealthyInAnUpdate(t *testing.T) {
	always := func(s *types.ServiceConfig) { s.Restart = "always" }
	two := Command{Verb: VerbUp, Scale: map[string]int{"web": 2}}
	w, want := upTo(t, rolling("2", nil, always), 2)
	next := wanted(t, want.Wish, rolling("3", nil, always), two)
	fresh := w.seen.Instances[0]
	fresh.Hash, fresh.Recreate, fresh.Health = next.Hashes[fresh.Service], next.Recreates[fresh.Service], HealthUnhealthy
	for _, op := range Reconcile(next, w.seen, w.now).Ops {
		if op.Unhealthy {
			t.Errorf("an update is under way, and the plan has %s", op.ID)
		}
	}
	w.seen.Instances[1].Hash, w.seen.Instances[1].Recreate = fresh.Hash, fresh.Recreate
	if p := Reconcile(next, w.seen, w.now); len(p.Ops) != 1 || !p.Ops[0].Unhealthy {
		t.Errorf("the update is over, and the plan is\n%s", p)
	}
}

// Being stopped for illness is a failure to the policy, whatever the program ends
// with; its back-off grows.
func TestPolicyAfterIllness(t *testing.T) {
	now := testNow
	for _, condition := range []string{"always", "on-failure", "unless-stopped"} {
		i := &Instance{State: StateRunning, Started: now.Add(-time.Second), Unwell: true}
		i.StopAsked(false, 1, now)
		i.Exited(runtime.Exit{Code: 0, At: now}, RestartPolicy{Condition: condition}, now)
		if i.State != StateRestarting || i.Unwell || i.Exit.Code != 0 || i.Exit.Unknown {
			t.Errorf("%s: after illness it is %s, %+v", condition, i.State, i.Exit)
		}
		first := i.NextStart.Sub(now)
		i.Obeyed(1, now)
		i.Unwell = true
		i.StopAsked(false, 1, now)
		i.Exited(runtime.Exit{Code: 0, At: now.Add(time.Second)}, RestartPolicy{Condition: condition}, now.Add(time.Second))
		if again := i.NextStart.Sub(now.Add(time.Second)); again <= first {
			t.Errorf("%s: the second wait is %v, the first was %v", condition, again, first)
		}
	}
	i := &Instance{State: StateRunning, Started: now, Unwell: true, Held: true}
	i.StopAsked(true, 1, now)
	i.Exited(runtime.Exit{Code: 143, At: now}, RestartPolicy{Condition: "always"}, now)
	if i.State != StateExited {
		t.Errorf("stopped by a person while it was healed, it is %s", i.State)
	}
}

// sharers are db and side, which shares its namespaces, up.
func sharers(t *testing.T) (w *world, want Want, db, side *Instance) {
	t.Helper()
	st := testStack(testService{name: "db"}, testService{name: "side", net: "service:db"})
	w, want = newWorld(), wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	return w, want, w.byName("p-db-1"), w.byName("p-side-1")
}

// A replica that shares the namespaces of another starts again with it, when it
// runs: also one whose own policy is no.
func TestSharersFollow(t *testing.T) {
	w, want, db, side := sharers(t)
	w.now = w.now.Add(time.Minute)
	db.Obeyed(db.StartedSeq, w.now)
	plan := Reconcile(want, w.seen, w.now)
	if len(plan.Ops) != 1 || plan.Ops[0].Instance != side.ID || !plan.Ops[0].Again {
		t.Fatalf("planned\n%s", plan)
	}
	side.Again = true
	side.StopAsked(false, 1, w.now)
	side.Exited(runtime.Exit{Code: 143, At: w.now}, ParseRestart(want.Stack.Services["side"]), w.now)
	db.State = StateRestarting
	db.NextStart = w.now.Add(time.Hour)
	if plan = Reconcile(want, w.seen, w.now); len(plan.Ops) > 0 {
		t.Errorf("with its owner away, planned\n%s", plan)
	}
	db.State = StateRunning
	if got := Reconcile(want, w.seen, w.now).String(); got != "start p-side-1: restart policy after exit 143\n" {
		t.Errorf("with its owner back, planned\n%s", got)
	}
}

// One whose owner was restarted between the look at it and the run's begin shares what
// has ended, though it began later.
func TestSharerOfTheRunBefore(t *testing.T) {
	w, want, db, side := sharers(t)
	side.Joined = db.Started.Add(time.Second)
	db.Obeyed(db.StartedSeq, side.Joined.Add(time.Second))
	side.Obeyed(side.StartedSeq, db.Started.Add(time.Second))
	w.now = side.Started.Add(time.Second)
	if plan := Reconcile(want, w.seen, w.now); len(plan.Ops) != 1 || plan.Ops[0].Instance != side.ID || !plan.Ops[0].Again {
		t.Errorf("planned\n%s", plan)
	}
	side.Joined = db.Started.Add(time.Second)
	if plan := Reconcile(want, w.seen, w.now); len(plan.Ops) > 0 {
		t.Errorf("with its owner's present run, planned\n%s", plan)
	}
}

// What runs on a volume that was made anew starts again on that one.
func TestVolumeMadeAnew(t *testing.T) {
	w, want := upTo(t, rolling("1", nil, nil), 2)
	made := testNow
	for _, i := range w.seen.Instances {
		i.VolumesMade = map[string]time.Time{"data": made}
	}
	for _, c := range []struct {
		seen map[string]time.Time
		ops  int
	}{{nil, 0}, {map[string]time.Time{"data": made}, 0}, {map[string]time.Time{"data": made.Add(-time.Hour)}, 2}} {
		w.seen.VolumesMade = c.seen
		if plan := Reconcile(want, w.seen, w.now); len(plan.Ops) != c.ops || c.ops > 0 && !plan.Ops[0].Again {
			t.Errorf("volumes %v: planned\n%s", c.seen, plan)
		}
	}
}
