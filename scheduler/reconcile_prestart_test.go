package scheduler

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// hookedStack has a service with two hooks, the second once a replica, and one that
// depends on it.
func hookedStack() *spec.Stack {
	st := testStack(testService{name: "web"}, testService{name: "on", deps: needs(types.ServiceConditionStarted, "web")})
	web := st.Services["web"]
	web.PreStart = []types.PreStartHook{{}, {PerReplica: true}}
	st.Services["web"] = web
	return st
}

// did are the operations of one kind, in order.
func (w *world) did(kind Kind) (out []string) {
	for _, id := range w.order {
		if target, ok := strings.CutPrefix(id, string(kind)+" "); ok {
			out = append(out, target)
		}
	}
	return out
}

func TestHooksRunInOrderOnceAService(t *testing.T) {
	st, w := hookedStack(), newWorld()
	up := func(old Wish, cmd Command) Want {
		want := wanted(t, old, st, cmd)
		w.order = nil
		w.settle(t, want, nil)
		return want
	}
	want := up(Wish{}, Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	order := []string{"p-web-pre_start-0", "p-web-pre_start-1-1", "p-web-1", "p-web-pre_start-1-2", "p-web-2", "p-on-1"}
	got := w.did(OpStart)
	if !slices.Equal(w.did(OpHook), []string{"p-web-pre_start-0", "p-web-pre_start-1-1", "p-web-pre_start-1-2"}) ||
		slices.Index(got, order[0]) > slices.Index(got, order[1]) || slices.Index(got, order[1]) > slices.Index(got, order[2]) ||
		slices.Index(got, order[3]) > slices.Index(got, order[4]) || len(got) != len(order) {
		t.Errorf("started %v", got)
	}
	if slices.ContainsFunc(w.seen.Instances, func(i *Instance) bool { return i.Hook != nil }) {
		t.Error("the containers of hooks stay")
	}
	for _, c := range []struct {
		cmd   Command
		hooks []string
	}{
		{Command{Verb: VerbUp, Scale: map[string]int{"web": 2}}, nil},
		{Command{Verb: VerbStop}, nil},
		{Command{Verb: VerbStart}, nil},
		{Command{Verb: VerbRestart}, nil},
		{Command{Verb: VerbUp, Scale: map[string]int{"web": 3}}, []string{"p-web-pre_start-1-3"}},
		{Command{Verb: VerbUp, ForceRecreate: true, Services: []string{"web"}, Scale: map[string]int{"web": 1}}, []string{"p-web-pre_start-0", "p-web-pre_start-1-1"}},
	} {
		want = up(want.Wish, c.cmd)
		if got := w.did(OpHook); !slices.Equal(got, c.hooks) {
			t.Errorf("%s %v ran the hooks %v, want %v", c.cmd.Verb, c.cmd.Scale, got, c.hooks)
		}
	}
}

func TestFailedHookHoldsItsServiceAndDependents(t *testing.T) {
	st, w := hookedStack(), newWorld()
	w.hookCode = 3
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	p := w.settle(t, want, nil)
	if p.Services["web"].Failed != "hook failed" || p.Services["on"].Failed != "dependency failed to start: hook failed" {
		t.Errorf("statuses %+v", p.Services)
	}
	if web := w.byName("p-web-1"); web == nil || web.State != StateCreated {
		t.Errorf("web is %+v", web)
	}
	if w.byName("p-web-pre_start-0") == nil {
		t.Error("the failed hook's container is gone")
	}
	w.hookCode, w.order = 0, nil
	w.settle(t, wanted(t, want.Wish, st, Command{Verb: VerbUp}), nil)
	if got := w.did(OpHook); !slices.Equal(got, []string{"p-web-pre_start-0", "p-web-pre_start-1-1"}) {
		t.Errorf("the next up ran %v", got)
	}
	if on := w.byName("p-on-1"); on.State != StateRunning {
		t.Errorf("on is %s", on.State)
	}
}

// A replica that goes while its hooks run takes their containers with it.
func TestHooksOfAReplacedReplicaGo(t *testing.T) {
	st, w := hookedStack(), newWorld()
	w.hookCode = 1
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	w.hookCode, w.order = 0, nil
	w.settle(t, wanted(t, want.Wish, st, Command{Verb: VerbUp, ForceRecreate: true}), nil)
	if len(w.did(OpHook)) != 2 || slices.ContainsFunc(w.seen.Instances, func(i *Instance) bool { return i.Hook != nil }) {
		t.Errorf("did %v", w.order)
	}
	want = wanted(t, want.Wish, st, Command{Verb: VerbDown})
	w.settle(t, want, nil)
	if len(w.seen.Instances) != 0 {
		t.Errorf("down leaves %v", w.seen.Instances)
	}
}
