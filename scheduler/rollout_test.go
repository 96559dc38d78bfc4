package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"

	"stack/spec"
)

// rolling is a stack with one service that is checked and has an update_config.
func rolling(version string, config *types.UpdateConfig, edit func(*types.ServiceConfig)) *spec.Stack {
	st := testStack(testService{name: "web"})
	svc := st.Services["web"]
	svc.Command = []string{version}
	svc.HealthCheck = &types.HealthCheckConfig{Test: []string{"CMD", "true"}}
	if config != nil {
		svc.Deploy = &types.DeployConfig{UpdateConfig: config}
	}
	if edit != nil {
		edit(&svc)
	}
	st.Services["web"] = svc
	return st
}

func parallelism(n uint64) *uint64 { return &n }

// upTo brings a world to version 1 with healthy replicas.
func upTo(t interface{ Fatalf(string, ...any) }, st *spec.Stack, scale int) (*world, Want) {
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": scale}})
	w.settle(t, want, nil)
	for _, i := range w.seen.Instances {
		i.Health = HealthHealthy
	}
	return w, want
}

func TestStartFirst(t *testing.T) {
	w, want := upTo(t, rolling("1", nil, nil), 2)
	want = wanted(t, want.Wish, rolling("2", nil, nil), Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	if got := Foresee(want, w.seen, w.now).String(); got != `add p-web-1-next: its configuration changed, start-first
start p-web-1-next: its configuration changed, start-first (after add p-web-1-next)
stop p-web-1: container p-web-1-next takes its place
remove p-web-1: container p-web-1-next takes its place (after stop p-web-1)
promote p-web-1-next: it takes the place of p-web-1 (after remove p-web-1)
add p-web-2-next: its configuration changed, start-first
start p-web-2-next: its configuration changed, start-first (after add p-web-2-next)
stop p-web-2: container p-web-2-next takes its place
remove p-web-2: container p-web-2-next takes its place (after stop p-web-2)
promote p-web-2-next: it takes the place of p-web-2 (after remove p-web-2)
` {
		t.Errorf("planned:\n%s", got)
	}
}

func TestRolloutOrder(t *testing.T) {
	first := &types.UpdateConfig{Order: "start-first"}
	for _, c := range []struct {
		what   string
		config *types.UpdateConfig
		edit   func(*types.ServiceConfig)
		want   string
	}{
		{"nothing against it", nil, nil, "start-first"},
		{"asked for", &types.UpdateConfig{Order: "stop-first"}, nil, "stop-first"},
		{"a name", first, func(s *types.ServiceConfig) { s.ContainerName = "x" }, "stop-first as it has a container_name"},
		{"an address", first, func(s *types.ServiceConfig) {
			s.Networks = map[string]*types.ServiceNetworkConfig{"default": {Ipv4Address: "10.0.0.5"}}
		}, "stop-first as it has a fixed address"},
		{"the host's network", first, func(s *types.ServiceConfig) { s.NetworkMode = "host" }, "stop-first as it has no network namespace of its own"},
		{"a volume", nil, func(s *types.ServiceConfig) {
			s.Volumes = []types.ServiceVolumeConfig{{Type: "bind", Source: "/x", Target: "/x"}}
		}, "stop-first as it has a writable volume"},
		{"a volume, and the wish", first, func(s *types.ServiceConfig) {
			s.Volumes = []types.ServiceVolumeConfig{{Type: "bind", Source: "/x", Target: "/x"}}
		}, "start-first"},
		{"a read-only volume", nil, func(s *types.ServiceConfig) {
			s.Volumes = []types.ServiceVolumeConfig{{Type: "bind", Source: "/x", Target: "/x", ReadOnly: true}}
		}, "start-first"},
		{"no check", nil, func(s *types.ServiceConfig) { s.HealthCheck.Disable = true }, "stop-first as it has no health check"},
	} {
		w, want := upTo(t, rolling("1", nil, c.edit), 1)
		want = wanted(t, want.Wish, rolling("2", c.config, c.edit), Command{Verb: VerbUp})
		p := Reconcile(want, w.seen, w.now)
		if len(p.Ops) == 0 || !strings.HasSuffix(p.Ops[0].Cause, "changed, "+c.want) {
			t.Errorf("%s: want %s, planned:\n%s", c.what, c.want, p)
		}
	}
}

// TestRolloutKeepsServing drives rollouts through random interleavings: never more
// replicas than wanted and surge, never fewer ready than the file allows, and the
// end is the file's.
func TestRolloutKeepsServing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(1, 5).Draw(t, "scale")
		config := &types.UpdateConfig{
			Parallelism: parallelism(uint64(rapid.IntRange(0, 3).Draw(t, "parallelism"))),
			Order:       rapid.SampledFrom([]string{"", "start-first", "stop-first"}).Draw(t, "order"),
			Delay:       types.Duration(time.Duration(rapid.IntRange(0, 2).Draw(t, "delay")) * time.Minute),
			Monitor:     types.Duration(time.Duration(rapid.IntRange(0, 2).Draw(t, "monitor")) * time.Minute),
		}
		at := int(*config.Parallelism)
		if at == 0 {
			at = scale
		}
		most, least := scale, max(0, scale-at)
		if config.Order != "stop-first" {
			most, least = scale+at, scale
		}
		w, want := upTo(t, rolling("1", config, nil), scale)
		want = wanted(t, want.Wish, rolling("2", config, nil), Command{Verb: VerbUp, Scale: map[string]int{"web": scale}})
		turns := 0
		for ; turns < 500; turns++ {
			p := Reconcile(want, w.seen, w.now)
			begin := slices.DeleteFunc(slices.Clone(p.Ops), func(o Op) bool { return len(o.After) > 0 })
			var sick []*Instance
			for _, i := range w.seen.Instances {
				if i.State == StateRunning && i.Health != HealthHealthy {
					i.Health = HealthStarting
					sick = append(sick, i)
				}
			}
			switch {
			case len(sick) > 0 && (len(begin) == 0 || rapid.Bool().Draw(t, "heals")):
				sick[rapid.IntRange(0, len(sick)-1).Draw(t, "which")].Health = HealthHealthy
			case len(begin) > 0:
				op := begin[rapid.IntRange(0, len(begin)-1).Draw(t, "op")]
				w.apply(want, op)
				if op.Kind == OpStart {
					w.find(op.Instance).Health = HealthStarting
				}
			case p.RequeueAfter > 0 && !p.Services["web"].Done:
				w.now = w.now.Add(p.RequeueAfter)
			default:
				turns = 1000
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
		p := Reconcile(want, w.seen, w.now)
		if turns < 1000 || !p.Empty() || !p.Services["web"].Done {
			t.Fatalf("does not converge: %+v\n%s", p.Services, p)
		}
		for n := range scale {
			i := w.byName(fmt.Sprintf("p-web-%d", n+1))
			if i == nil || i.Hash != want.Hashes["web"] || i.Number != n+1 {
				t.Fatalf("replica %d is %+v", n+1, i)
			}
		}
	})
}

// settleAs settles while the replicas of a configuration have a health as soon as
// they run.
func (w *world) settleAs(t *testing.T, want Want, health Health) Plan {
	for {
		p := w.settle(t, want, nil)
		changed := false
		for _, i := range w.seen.Instances {
			if i.State == StateRunning && i.Hash == want.Hashes["web"] && i.Health != health {
				i.Health, changed = health, true
			}
		}
		if !changed {
			return p
		}
	}
}

// A replica that never gets well stops the rollout; the old ones go on. Another up
// with a better file takes it from there.
func TestRolloutPauses(t *testing.T) {
	for order, wanted1 := range map[string]int{"start-first": 3, "stop-first": 2} {
		config := &types.UpdateConfig{Order: order, Parallelism: parallelism(1)}
		up := Command{Verb: VerbUp, Scale: map[string]int{"web": 3}}
		w, want := upTo(t, rolling("1", config, nil), 3)
		bad := wanted(t, want.Wish, rolling("2", config, nil), up)
		p := w.settleAs(t, bad, HealthUnhealthy)
		if got := p.Services["web"].Failed; !strings.Contains(got, "its update is paused: 1 of 3 replicas failed") {
			t.Errorf("%s: the service failed with %q", order, got)
		}
		old := 0
		for _, i := range w.seen.Instances {
			if i.Hash == want.Hashes["web"] && i.live() {
				old++
			}
		}
		if old != wanted1 {
			t.Errorf("%s: %d old replicas run, want %d", order, old, wanted1)
		}
		good := wanted(t, bad.Wish, rolling("3", config, nil), up)
		p = w.settleAs(t, good, HealthHealthy)
		if len(w.seen.Instances) != 3 || slices.ContainsFunc(w.seen.Instances, func(i *Instance) bool { return i.Hash != good.Hashes["web"] }) {
			t.Errorf("%s: after the better file there are %d replicas:\n%s%v", order, len(w.seen.Instances), p, p.Services)
		}
	}
}

// The former file again: surges that nobody needs go, and what runs stays.
func TestRolloutTakenBack(t *testing.T) {
	up := Command{Verb: VerbUp, Scale: map[string]int{"web": 2}}
	w, want := upTo(t, rolling("1", nil, nil), 2)
	ids := []string{w.byName("p-web-1").ID, w.byName("p-web-2").ID}
	bad := wanted(t, want.Wish, rolling("2", nil, nil), up)
	w.settleAs(t, bad, HealthUnhealthy)
	w.settleAs(t, wanted(t, bad.Wish, rolling("1", nil, nil), up), HealthHealthy)
	if len(w.seen.Instances) != 2 || w.byName("p-web-1").ID != ids[0] || w.byName("p-web-2").ID != ids[1] {
		t.Errorf("%d replicas after %v", len(w.seen.Instances), w.order)
	}
}
