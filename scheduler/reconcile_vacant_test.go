package scheduler

import (
	"slices"
	"testing"

	"stack/netns"
)

// A network that the file no longer has goes with --remove-orphans, once nobody is
// on it.
func TestVacantNetworks(t *testing.T) {
	made := map[string]madeNetwork{"default": {ID: "1", Name: "p_default"}, "side": {ID: "2", Name: "p_side"}, "old": {ID: "3", Name: "named"}}
	on := func(id string) *Instance { return &Instance{Endpoints: []netns.Endpoint{{Network: id}}} }
	st := testStack(testService{name: "web"})
	for _, c := range []struct {
		orphans bool
		all     []*Instance
		want    []string
	}{
		{false, nil, nil},
		{true, nil, []string{"remove network named", "remove network p_side"}},
		{true, []*Instance{on("2"), on("1")}, []string{"remove network named"}},
	} {
		w := newWorld()
		want := wanted(t, Wish{}, st, Command{Verb: VerbUp, RemoveOrphans: c.orphans})
		w.settle(t, want, nil)
		w.seen.Vacant = vacantNetworks(made, c.all)
		var got []string
		for _, op := range Reconcile(want, w.seen, w.now).Ops {
			got = append(got, op.ID)
		}
		slices.Sort(got)
		for n := range c.want {
			c.want[n] = string(OpNetworkRemove) + c.want[n][len("remove network"):]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("with orphans removed %v and %d instances: planned %v, want %v", c.orphans, len(c.all), got, c.want)
		}
	}
}
