package scheduler

import (
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// TestRecreateVolume: who mounts a volume goes before it does and comes after it is
// back; without consent it stays.
func TestRecreateVolume(t *testing.T) {
	st := testStack(testService{name: "beside"}, testService{name: "web"})
	web := st.Services["web"]
	web.Volumes = []types.ServiceVolumeConfig{{Type: types.VolumeTypeVolume, Source: "data", Target: "/data"}}
	st.Services["web"] = web
	st.Volumes = types.Volumes{"data": {Name: "p_data"}}
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	before := w.replica("beside", 1).ID

	st.Volumes = types.Volumes{"data": {Name: "p_data", Labels: types.Labels{"a": "b"}}}
	w.order = nil
	want = wanted(t, want.Wish, st, Command{Verb: VerbUp})
	if p := w.settle(t, want, nil); len(w.order) > 0 || len(p.Warnings) != 1 {
		t.Errorf("without consent: %v %v", w.order, p.Warnings)
	}
	want = wanted(t, want.Wish, st, Command{Verb: VerbUp, RecreateVolumes: []string{"p_data"}})
	destructive := false
	w.settle(t, want, func(p Plan) {
		destructive = destructive || slices.ContainsFunc(p.Ops, func(o Op) bool { return o.Kind == OpVolumeRemove && o.Destructive })
	})
	if wanted := []string{"stop p-web-1", "remove p-web-1", "remove volume p_data", "create volume p_data", "create p-web-1", "start p-web-1"}; !slices.Equal(w.order, wanted) || !destructive {
		t.Errorf("order: %v", w.order)
	}
	if w.replica("beside", 1).ID != before {
		t.Error("a service that does not mount it was replaced")
	}
	w.order = nil
	w.settle(t, want, nil)
	if len(w.order) > 0 {
		t.Errorf("again: %v", w.order)
	}
	// Half removed it is not there, and not to be made yet.
	delete(w.seen.Volumes, "p_data")
	w.seen.InFlight["remove volume p_data"] = ""
	for _, op := range Reconcile(want, w.seen, w.now).Ops {
		if op.Kind == OpVolume && !slices.Contains(op.After, "remove volume p_data") {
			t.Errorf("%s waits for %v", op.ID, op.After)
		}
	}
}
