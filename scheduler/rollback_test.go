package scheduler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"

	"stack/spec"
)

// rollback does to a wish what the controller does: the service is as it was.
func rollback(t interface{ Fatalf(string, ...any) }, want Want, before *spec.Stack, cause string) Want {
	w := want.Wish
	w.Sequence++
	sw := w.Services["web"]
	sw.Rollback = &Rollback{Sequence: w.Sequence, From: 2, To: 1, Cause: cause, Settings: rollbackSettings(w.Stack.Services["web"].Deploy)}
	h, err := before.Hash("web")
	if err != nil {
		t.Fatalf("%v", err)
	}
	sw.Hash = h
	w.Services = map[string]ServiceWish{"web": sw}
	w.Stack = before
	out, err := NewWant(w)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

// An image that never gets healthy is rolled out and taken back, through random
// interleavings: never more replicas than wanted and surge, never fewer ready than
// the file allows, and the end is what was before.
func TestRollbackKeepsServing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(1, 5).Draw(t, "scale")
		draw := func(what string) *types.UpdateConfig {
			return &types.UpdateConfig{
				Parallelism: parallelism(uint64(rapid.IntRange(0, 3).Draw(t, what+" parallelism"))),
				Order:       rapid.SampledFrom([]string{"", "start-first", "stop-first"}).Draw(t, what+" order"),
			}
		}
		update, back := draw("update"), draw("rollback")
		update.FailureAction = "rollback"
		deploy := func(s *types.ServiceConfig) {
			s.Deploy = &types.DeployConfig{UpdateConfig: update, RollbackConfig: back}
		}
		at := func(c *types.UpdateConfig) int {
			if *c.Parallelism == 0 {
				return scale
			}
			return int(*c.Parallelism)
		}
		most, least := scale+at(update)+at(back), scale
		if update.Order == "stop-first" {
			least = max(0, scale-at(update))
		}
		good := rolling("1", nil, deploy)
		w, want := upTo(t, good, scale)
		first := want.Hashes["web"]
		want = wanted(t, want.Wish, rolling("2", nil, deploy), Command{Verb: VerbUp, Scale: map[string]int{"web": scale}})
		w.seen.Updates = map[string]Update{"web": {Sequence: want.Sequence, Good: 1}}
		last, rolledBack := UpdateState(""), false
		for turns := 0; ; turns++ {
			if turns > 500 {
				t.Fatalf("does not converge: %v\n%s", w.order, Reconcile(want, w.seen, w.now))
			}
			p := Reconcile(want, w.seen, w.now)
			if s := p.Services["web"].Update; s != "" {
				last = s
			}
			if last.Over() {
				break
			}
			begin := slices.DeleteFunc(slices.Clone(p.Ops), func(o Op) bool { return len(o.After) > 0 })
			var probed []*Instance
			for _, i := range w.seen.Instances {
				if i.State == StateRunning && i.Health == HealthStarting {
					probed = append(probed, i)
				}
			}
			switch {
			case len(probed) > 0 && (len(begin) == 0 || rapid.Bool().Draw(t, "probe")):
				i := probed[rapid.IntRange(0, len(probed)-1).Draw(t, "which")]
				if i.Health = HealthHealthy; i.Hash != first {
					i.Health = HealthUnhealthy
				}
			case len(begin) > 0:
				op := begin[rapid.IntRange(0, len(begin)-1).Draw(t, "op")]
				if op.Kind == OpRollback {
					want, rolledBack = rollback(t, want, good, op.Cause), true
					w.seen.Updates["web"] = Update{Sequence: want.Sequence}
					continue
				}
				w.apply(want, op)
				if op.Kind == OpStart {
					w.find(op.Instance).Health = HealthStarting
				}
			case p.RequeueAfter > 0:
				w.now = w.now.Add(p.RequeueAfter)
			default:
				t.Fatalf("stands still: %+v %v\n%s", p.Services, w.order, p)
			}
			ready := 0
			for _, i := range w.seen.Instances {
				if i.fitness(false) == 3 {
					ready++
				}
			}
			if n := len(w.seen.Instances); n > most || ready < least {
				t.Fatalf("%d replicas (at most %d), %d ready (at least %d) after %v", n, most, ready, least, w.order)
			}
		}
		if !rolledBack || last != RollbackCompleted {
			t.Fatalf("rolled back: %v, the end is %s", rolledBack, last)
		}
		delete(w.seen.Updates, "web")
		if p := Reconcile(want, w.seen, w.now); !p.Empty() || !p.Services["web"].Done || len(w.seen.Instances) != scale {
			t.Fatalf("%d replicas, and then:\n%s", len(w.seen.Instances), p)
		}
		for _, i := range w.seen.Instances {
			if i.Hash != first || i.Becomes != "" || i.Health != HealthHealthy {
				t.Fatalf("replica %+v is left", i)
			}
		}
	})
}

// The last replica counts as the others do, also where there is only one.
func TestLastReplicaFails(t *testing.T) {
	for action, want1 := range map[string]string{
		"rollback": "roll back web", "pause": "its update is paused: 1 of 1 replicas failed: container p-web-1 is unhealthy",
	} {
		config := &types.UpdateConfig{Order: "stop-first", FailureAction: action}
		always := func(s *types.ServiceConfig) { s.Restart = "always" } // which is not for the update to count on
		w, want := upTo(t, rolling("1", config, always), 1)
		want = wanted(t, want.Wish, rolling("2", config, always), Command{Verb: VerbUp})
		w.seen.Updates = map[string]Update{"web": {Sequence: want.Sequence, Good: 1}}
		w.settle(t, want, nil)
		if s := Reconcile(want, w.seen, w.now).Services["web"]; s.Done || s.Waiting == "" {
			t.Errorf("%s: nobody waits for the only replica to prove itself: %+v", action, s)
		}
		w.byName("p-web-1").Health = HealthUnhealthy
		if got := Reconcile(want, w.seen, w.now).String(); !strings.Contains(got, want1) || action == "rollback" && strings.Contains(got, "stop") {
			t.Errorf("%s: planned:\n%s", action, got)
		}
	}
}

// A paused update goes on with a new up, which makes what failed anew.
func TestPausedUpdateIsResumed(t *testing.T) {
	for _, order := range []string{"start-first", "stop-first"} {
		config := &types.UpdateConfig{Order: order, Parallelism: parallelism(1)}
		up := Command{Verb: VerbUp, Scale: map[string]int{"web": 3}}
		w, want := upTo(t, rolling("1", config, nil), 3)
		want = wanted(t, want.Wish, rolling("2", config, nil), up)
		w.seen.Updates = map[string]Update{"web": {Sequence: want.Sequence, Good: 1}}
		if s := w.settleAs(t, want, HealthUnhealthy).Services["web"]; s.Update != UpdatePaused {
			t.Errorf("%s: %+v, want paused", order, s)
		}
		want = wanted(t, want.Wish, rolling("2", config, nil), up)
		s := w.settleAs(t, want, HealthHealthy).Services["web"]
		if s.Update != UpdateCompleted || len(w.seen.Instances) != 3 {
			t.Errorf("%s: %+v with %d replicas after %v", order, s, len(w.seen.Instances), w.order)
		}
	}
}

// Some may fail, and with failure_action continue any number.
func TestToleratedFailures(t *testing.T) {
	for _, c := range []struct {
		config types.UpdateConfig
		state  UpdateState
		failed string
	}{
		{types.UpdateConfig{MaxFailureRatio: 0.4}, UpdateCompleted, ""},
		{types.UpdateConfig{MaxFailureRatio: 0.3}, UpdatePaused, "paused: 1 of 3"},
		{types.UpdateConfig{FailureAction: "continue"}, UpdateUpdating, ""},
	} {
		c.config.Order = "stop-first"
		up := Command{Verb: VerbUp, Scale: map[string]int{"web": 3}}
		w, want := upTo(t, rolling("1", &c.config, nil), 3)
		want = wanted(t, want.Wish, rolling("2", &c.config, nil), up)
		w.seen.Updates = map[string]Update{"web": {Sequence: want.Sequence, Good: 1}}
		for range 4 {
			w.settle(t, want, nil)
			for _, i := range w.seen.Instances {
				if i.Hash == want.Hashes["web"] && i.State == StateRunning {
					if i.Health = HealthHealthy; i.Number == 1 {
						i.Health = HealthUnhealthy
					}
				}
			}
		}
		s := Reconcile(want, w.seen, w.now).Services["web"]
		if s.Update != c.state || !strings.Contains(s.Failed, c.failed) {
			t.Errorf("%+v: %+v", c.config, s)
		}
	}
}

// A replica that serves nobody is the first to make way.
func TestUnreadyMakesWayFirst(t *testing.T) {
	config := &types.UpdateConfig{Order: "stop-first", Parallelism: parallelism(1)}
	w, want := upTo(t, rolling("1", config, nil), 3)
	w.byName("p-web-2").Health = HealthUnhealthy
	want = wanted(t, want.Wish, rolling("2", config, nil), Command{Verb: VerbUp, Scale: map[string]int{"web": 3}})
	if p := Reconcile(want, w.seen, w.now); p.Ops[0].Target != "p-web-2" {
		t.Errorf("planned:\n%s", p)
	}
}

// Contents that are rewritten in a running replica have to prove themselves: that it
// was healthy before says nothing.
func TestRewrittenContentsAreJudged(t *testing.T) {
	config := &types.UpdateConfig{FailureAction: "rollback"}
	w, want := upTo(t, rolling("1", config, nil), 1)
	i := w.byName("p-web-1")
	i.Recreate = want.Recreates["web"]
	i.Check = Probe{Test: []string{"CMD", "true"}}
	i.Rewritten = w.now
	w.seen.Updates = map[string]Update{"web": {Sequence: want.Sequence, Good: 1}}
	is := func(what string, state UpdateState, rolledBack bool) {
		t.Helper()
		p := Reconcile(want, w.seen, w.now)
		back := slices.ContainsFunc(p.Ops, func(o Op) bool { return o.Kind == OpRollback })
		if got := p.Services["web"].Update; got != state || back != rolledBack {
			t.Errorf("%s: %s, rolled back: %t", what, got, back)
		}
	}
	at := func(d time.Duration, code int) {
		i.Probe = &ProbeState{Log: []ProbeEntry{{Start: i.Rewritten.Add(d), ExitCode: code}}}
	}
	at(-time.Second, 0)
	is("not probed since", UpdateUpdating, false)
	at(time.Second, 1)
	is("a probe failed", UpdateUpdating, false)
	at(time.Second, 0)
	is("a probe succeeded", UpdateCompleted, false)
	i.Health = HealthUnhealthy
	is("unhealthy", UpdateUpdating, true)
	at(-time.Second, 1)
	is("unhealthy with the contents before", UpdateUpdating, false)
	at(time.Second, 1)
	i.Hash = "old"
	is("unhealthy, and about to be updated", UpdateUpdating, false)
}
