package scheduler

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// A surge that took its place, and a crash before it got the name: the next update
// gives it the name first, or what comes after it would be called after it for ever.
func TestSurgeWithoutItsNameIsUpdated(t *testing.T) {
	for order, config := range map[string]*types.UpdateConfig{
		"start-first": {Order: "start-first"}, "stop-first": {Order: "stop-first"},
	} {
		w, want := upTo(t, rolling("1", &types.UpdateConfig{Order: "start-first"}, nil), 1)
		two := wanted(t, want.Wish, rolling("2", &types.UpdateConfig{Order: "start-first"}, nil), Command{Verb: VerbUp})
		old := w.byName("p-web-1")
		for range 100 {
			if i := w.byName("p-web-1-next"); i != nil && i.State == StateRunning {
				break
			}
			w.apply(two, Reconcile(two, w.seen, w.now).Ops[0])
		}
		w.drop(old.ID)
		three := wanted(t, two.Wish, rolling("3", config, nil), Command{Verb: VerbUp})
		w.settleAs(t, three, HealthHealthy)
		if len(w.seen.Instances) != 1 || w.seen.Instances[0].Name != "p-web-1" || w.seen.Instances[0].Becomes != "" {
			t.Errorf("%s: the replica is called %s, and is to be %q", order, w.seen.Instances[0].Name, w.seen.Instances[0].Becomes)
		}
	}
}
