package scheduler

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/spec"
)

// profiled is testStack with one of the services behind an inactive profile.
func profiled(name string, services ...testService) *spec.Stack {
	st := testStack(services...)
	svc := st.Services[name]
	svc.Profiles = []string{"debug"}
	delete(st.Services, name)
	st.DisabledServices = types.Services{name: svc}
	return st
}

func TestInactiveProfilesAreNoOrphans(t *testing.T) {
	both := []testService{{name: "web"}, {name: "debug", deps: needs(types.ServiceConditionStarted, "web")}}
	up := func(t *testing.T, cmd Command) (*world, Want, Plan) {
		w := newWorld()
		first := wanted(t, Wish{}, testStack(both...), Command{Verb: VerbUp})
		w.settle(t, first, nil)
		want := wanted(t, first.Wish, profiled("debug", both...), cmd)
		return w, want, w.settle(t, want, nil)
	}
	for _, cmd := range []Command{{Verb: VerbUp}, {Verb: VerbUp, RemoveOrphans: true}} {
		w, _, p := up(t, cmd)
		if i := w.byName("p-debug-1"); i == nil || !i.live() || len(p.Warnings) > 0 {
			t.Errorf("after %+v debug is %+v, warnings %q", cmd, i, p.Warnings)
		}
	}
	// A down without the profile leaves it, with the profile, or by name, takes it.
	for _, c := range []struct {
		cmd  Command
		left string
	}{
		{Command{Verb: VerbDown, RemoveOrphans: true}, "p-debug-1"},
		{Command{Verb: VerbDown, Profiles: []string{"other"}}, "p-debug-1"},
		{Command{Verb: VerbDown, Profiles: []string{"debug"}}, ""},
		{Command{Verb: VerbDown, Profiles: []string{"*"}}, ""},
		{Command{Verb: VerbDown, Services: []string{"debug"}}, "p-web-1"},
	} {
		w, want, _ := up(t, Command{Verb: VerbUp})
		st := awaken(want.Stack, c.cmd.Services, c.cmd.Profiles)
		w.settle(t, wanted(t, want.Wish, st, c.cmd), nil)
		var left []string
		for _, i := range w.seen.Instances {
			left = append(left, i.Name)
		}
		if got := strings.Join(left, " "); got != c.left {
			t.Errorf("%+v leaves %q, want %q", c.cmd, got, c.left)
		}
	}
}

// Naming a disabled service enables what it needs too, and changes no input.
func TestAwaken(t *testing.T) {
	st := profiled("debug", testService{name: "web"}, testService{name: "debug", deps: needs(types.ServiceConditionStarted, "tool")})
	st.DisabledServices["tool"] = types.ServiceConfig{Name: "tool", Profiles: []string{"x"}}
	got := awaken(st, []string{"debug"}, nil)
	if names := slices.Sorted(maps.Keys(got.Services)); !slices.Equal(names, []string{"debug", "tool", "web"}) || len(got.DisabledServices) != 0 {
		t.Errorf("enabled %v, disabled %v", names, got.DisabledServices)
	}
	if len(st.Services) != 1 || len(st.DisabledServices) != 2 || awaken(st, nil, nil) != st {
		t.Error("the stack itself was changed")
	}
}

// A stop of an orphan ends, and stops it.
func TestStopOfAnOrphan(t *testing.T) {
	w := newWorld()
	first := wanted(t, Wish{}, testStack(testService{name: "web"}, testService{name: "old"}), Command{Verb: VerbUp})
	w.settle(t, first, nil)
	want := wanted(t, first.Wish, testStack(testService{name: "web"}), Command{Verb: VerbStop, Services: []string{"old", "web"}})
	p := w.settle(t, want, nil)
	if old := w.byName("p-old-1"); old.State != StateExited || !p.Services["old"].Done {
		t.Errorf("the orphan is %s, its service %+v", old.State, p.Services["old"])
	}
}
