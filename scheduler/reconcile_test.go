package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"pgregory.net/rapid"

	"stack/runtime"
	"stack/spec"
)

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a model of what operations do to the machine.
type world struct {
	seen  Observed
	now   time.Time
	next  int
	order []string // operations as they were applied
	// hookCode is what pre_start hooks exit with.
	hookCode int
}

func (w *world) replica(service string, number int) *Instance {
	return w.seen.replicas(service)[slices.IndexFunc(w.seen.replicas(service), func(i *Instance) bool { return i.Number == number })]
}

func newWorld() *world {
	return &world{now: testNow, seen: Observed{
		Networks: map[string]string{}, Volumes: map[string]string{}, Digests: map[string]string{},
		InFlight: map[string]string{}, Failed: map[string]string{},
	}}
}

func (w *world) find(id string) *Instance {
	for _, i := range w.seen.Instances {
		if i.ID == id {
			return i
		}
	}
	return nil
}

func (w *world) byName(name string) *Instance {
	for _, i := range w.seen.Instances {
		if i.Name == name {
			return i
		}
	}
	return nil
}

func (w *world) drop(id string) {
	w.seen.Instances = slices.DeleteFunc(w.seen.Instances, func(i *Instance) bool { return i.ID == id })
}

// apply performs one operation as the executor would.
func (w *world) apply(want Want, op Op) {
	w.now = w.now.Add(time.Second)
	w.order = append(w.order, op.ID)
	switch op.Kind {
	case OpNetwork, OpNetworkAlter:
		for key, o := range want.Networks {
			if o.Name == op.Target {
				w.seen.Networks[key] = o.Hash
			}
		}
	case OpNetworkRemove:
		for key := range w.seen.Networks {
			if strings.HasSuffix(op.Target, key) {
				delete(w.seen.Networks, key)
			}
		}
	case OpVolume:
		for _, o := range want.Volumes {
			if o.Name == op.Target {
				w.seen.Volumes[o.Name] = o.Hash
			}
		}
	case OpVolumeRemove:
		delete(w.seen.Volumes, op.Target)
	case OpImage:
		w.seen.Digests[op.Service] = "sha256:" + op.Service
	case OpCreate, OpReplace:
		w.next++
		w.drop(op.Instance)
		w.seen.Instances = append(w.seen.Instances, &Instance{
			ID: fmt.Sprint(w.next), Name: op.Target, Service: op.Service, Number: op.Number, Created: w.now,
			Hash: want.Hashes[op.Service], Digest: w.seen.Digests[op.Service], Sources: w.seen.Sources[op.Service],
			State: StateCreated, CreatedSeq: want.Sequence, Replaces: op.Kind == OpReplace, Check: checkOf(want, op.Service),
		})
	case OpHook:
		w.next++
		replica := w.replica(op.Service, op.Number)
		w.seen.Instances = append(w.seen.Instances, &Instance{
			ID: fmt.Sprint(w.next), Name: op.Target, Service: op.Service, OneOff: true, Created: w.now,
			Hook:  &HookRef{Step: op.Hook.Step, Replica: replica.ID, Name: replica.Name},
			State: StateCreated, CreatedSeq: want.Sequence, WantStart: want.Sequence,
		})
	case OpSurge:
		w.next++
		w.seen.Instances = append(w.seen.Instances, &Instance{
			ID: fmt.Sprint(w.next), Name: op.Target, Service: op.Service, Number: op.Number, Created: w.now,
			Hash: want.Hashes[op.Service], Digest: w.seen.Digests[op.Service], Sources: w.seen.Sources[op.Service],
			State: StateCreated, CreatedSeq: want.Sequence, Replaces: true, Check: checkOf(want, op.Service), Takes: op.Instance, Becomes: w.find(op.Instance).Name,
		})
	case OpPromote:
		i := w.find(op.Instance)
		i.Name, i.Takes, i.Becomes = i.Becomes, "", ""
	case OpUpdate:
		w.find(op.Instance).Hash = want.Hashes[op.Service]
	case OpStart:
		i := w.find(op.Instance)
		i.Obeyed(want.Sequence, w.now)
		if i.Hook != nil {
			i.Exited(runtime.Exit{Code: w.hookCode, At: w.now}, RestartPolicy{}, w.now)
			i.HookError = "hook failed"
		}
	case OpStop:
		i := w.find(op.Instance)
		i.StopAsked(want.Services[i.Service].Goal == GoalStop, want.Sequence, w.now)
		i.Exited(runtime.Exit{Code: 143, At: w.now}, RestartPolicy{}, w.now)
	case OpRemove:
		w.drop(op.Instance)
	case OpPause, OpUnpause:
		w.find(op.Instance).PauseChanged(op.Kind == OpPause)
	}
}

// settle plans and applies until nothing is left; check sees every plan.
func (w *world) settle(t interface{ Fatalf(string, ...any) }, want Want, check func(Plan)) Plan {
	for range 500 {
		for _, i := range w.seen.Instances {
			if i.State == StateRunning {
				i.LiveSeq = want.Sequence // as observe does
			}
		}
		p := Reconcile(want, w.seen, w.now)
		if check != nil {
			check(p)
		}
		ready := slices.DeleteFunc(slices.Clone(p.Ops), func(o Op) bool { return len(o.After) > 0 })
		if len(ready) == 0 {
			if len(p.Ops) > 0 {
				t.Fatalf("nothing can begin, yet the plan is not empty:\n%s", p)
			}
			return p
		}
		w.apply(want, ready[0])
	}
	t.Fatalf("does not converge:\n%s", Reconcile(want, w.seen, w.now))
	return Plan{}
}

type testService struct {
	name string
	deps types.DependsOnConfig
	net  string
}

func testStack(services ...testService) *spec.Stack {
	p := &types.Project{Name: "p", Services: types.Services{}, Networks: types.Networks{"default": {Name: "p_default"}}}
	for _, s := range services {
		cfg := types.ServiceConfig{}
		cfg.Name, cfg.DependsOn = s.name, s.deps
		cfg.Image, cfg.NetworkMode = "rootfs:/", s.net
		if s.net == "" {
			cfg.Networks = map[string]*types.ServiceNetworkConfig{"default": nil}
		}
		p.Services[s.name] = cfg
	}
	return &spec.Stack{Project: p}
}

func needs(condition string, names ...string) types.DependsOnConfig {
	d := types.DependsOnConfig{}
	for _, n := range names {
		d[n] = types.ServiceDependency{Condition: condition, Required: true}
	}
	return d
}

// wanted edits a wish by one command and prepares it.
func wanted(t interface{ Fatalf(string, ...any) }, w Wish, st *spec.Stack, cmd Command) Want {
	g, err := NewGraph(st.Project)
	if err != nil {
		t.Fatalf("%v", err)
	}
	next, _, err := edit(w, st, g, cmd)
	if err != nil {
		t.Fatalf("%v", err)
	}
	want, err := NewWant(next)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return want
}

func TestUpOrdersByDependency(t *testing.T) {
	st := testStack(testService{name: "web", deps: needs(types.ServiceConditionStarted, "db")}, testService{name: "db"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	db, web := slices.Index(w.order, "start p-db-1"), slices.Index(w.order, "start p-web-1")
	if db < 0 || web < db {
		t.Errorf("started in the wrong order: %v", w.order)
	}
}

func TestUnchangedUpDoesNothing(t *testing.T) {
	st := testStack(testService{name: "web"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 3}})
	w.settle(t, want, nil)
	again := wanted(t, want.Wish, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 3}})
	if p := Reconcile(again, w.seen, w.now); !p.Empty() {
		t.Errorf("unchanged up plans:\n%s", p)
	}
}

// A replica that waits for its restart has no process, but a stop ends it too.
func TestStopCallsOffARestart(t *testing.T) {
	st := testStack(testService{name: "web"})
	for _, stop := range []Command{{Verb: VerbStop}, {Verb: VerbDown}} {
		w := newWorld()
		want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
		w.settle(t, want, nil)
		web := w.byName("p-web-1")
		web.Exited(runtime.Exit{Code: 1, At: w.now}, RestartPolicy{Condition: "always"}, w.now)
		if web.State != StateRestarting {
			t.Fatalf("the container is %s", web.State)
		}
		w.settle(t, wanted(t, want.Wish, st, stop), nil)
		if web.State != StateExited && w.byName("p-web-1") != nil {
			t.Errorf("after %s it is %s", stop.Verb, web.State)
		}
	}
}

func TestHealthGate(t *testing.T) {
	st := testStack(testService{name: "web", deps: needs(types.ServiceConditionHealthy, "db")}, testService{name: "db"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	starting := func() { w.byName("p-db-1").Health = HealthStarting }
	for range 10 {
		p := Reconcile(want, w.seen, w.now)
		for _, op := range p.Ops {
			if len(op.After) == 0 {
				w.apply(want, op)
			}
		}
		if w.byName("p-db-1") != nil {
			starting()
		}
	}
	if web := w.byName("p-web-1"); web == nil || web.State != StateCreated {
		t.Fatalf("web is %+v, want created and waiting", web)
	}
	if s := Reconcile(want, w.seen, w.now).Services["web"]; s.Waiting != "container p-db-1 to be healthy" {
		t.Errorf("web waits for %q", s.Waiting)
	}
	w.byName("p-db-1").Health = HealthUnhealthy
	if s := Reconcile(want, w.seen, w.now).Services["web"]; s.Failed != "dependency failed to start: container p-db-1 is unhealthy" {
		t.Errorf("web failed: %q", s.Failed)
	}
	w.byName("p-db-1").Health = HealthHealthy
	w.settle(t, want, nil)
	if w.byName("p-web-1").State != StateRunning {
		t.Error("web did not start once db was healthy")
	}
}

func TestCompletedGate(t *testing.T) {
	st := testStack(testService{name: "web", deps: needs(types.ServiceConditionCompletedSuccessfully, "init")}, testService{name: "init"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	if w.byName("p-web-1").State != StateCreated {
		t.Fatal("web started before init completed")
	}
	init := w.byName("p-init-1")
	init.Exited(runtime.Exit{Code: 3, At: w.now}, RestartPolicy{}, w.now)
	p := Reconcile(want, w.seen, w.now)
	if got := p.Services["web"].Failed; !strings.Contains(got, `service "init" didn't complete successfully: exit 3`) {
		t.Errorf("web failed: %q", got)
	}
	init.Exit = &runtime.Exit{Code: 0}
	w.settle(t, want, nil)
	if w.byName("p-web-1").State != StateRunning || w.byName("p-init-1").State != StateExited {
		t.Error("web should run and init stay exited")
	}
}

func TestFailedStartHoldsDependents(t *testing.T) {
	st := testStack(testService{name: "web", deps: needs(types.ServiceConditionStarted, "db")}, testService{name: "db"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	for range 10 {
		for _, op := range Reconcile(want, w.seen, w.now).Ops {
			if op.ID == "start p-db-1" && len(op.After) == 0 {
				w.byName("p-db-1").StartFailed(want.Sequence, "no such program", 127)
				break
			}
			if len(op.After) == 0 {
				w.apply(want, op)
				break
			}
		}
	}
	if w.byName("p-web-1").State != StateCreated {
		t.Error("web started although db failed to")
	}
	p := Reconcile(want, w.seen, w.now)
	if !p.Empty() {
		t.Errorf("a failed start is repeated:\n%s", p)
	}
	if p.Services["web"].Failed == "" || p.Services["db"].Failed == "" {
		t.Errorf("failures are not told: %+v", p.Services)
	}
}

func TestScaleDownRemovesStaleFirst(t *testing.T) {
	st := testStack(testService{name: "web"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 4}})
	w.settle(t, want, nil)
	w.byName("p-web-1").Hash, w.byName("p-web-2").Hash = "old", "old"
	want = wanted(t, want.Wish, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	w.settle(t, want, nil)
	var left []string
	for _, i := range w.seen.Instances {
		left = append(left, i.Name)
	}
	slices.Sort(left)
	if !slices.Equal(left, []string{"p-web-3", "p-web-4"}) {
		t.Errorf("left: %v", left)
	}
}

func TestScaleUpFillsLowestSlots(t *testing.T) {
	st := testStack(testService{name: "web"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 3}})
	w.settle(t, want, nil)
	w.drop(w.byName("p-web-2").ID)
	want = wanted(t, want.Wish, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 4}})
	w.settle(t, want, nil)
	if w.byName("p-web-2") == nil || w.byName("p-web-4") == nil || w.byName("p-web-5") != nil {
		t.Error("slots 2 and 4 should be filled")
	}
}

func TestStopOrderIsReversed(t *testing.T) {
	st := testStack(testService{name: "web", deps: needs(types.ServiceConditionStarted, "db")}, testService{name: "db"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	w.order = nil
	want = wanted(t, want.Wish, st, Command{Verb: VerbStop})
	w.settle(t, want, nil)
	if !slices.Equal(w.order, []string{"stop p-web-1", "stop p-db-1"}) {
		t.Errorf("stopped in order %v", w.order)
	}
	if p := Reconcile(want, w.seen, w.now.Add(time.Hour)); !p.Empty() {
		t.Errorf("stopped services are touched:\n%s", p)
	}
}

func TestRecreatedDependencyRestartsDependents(t *testing.T) {
	dep := needs(types.ServiceConditionStarted, "db")
	dep["db"] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Required: true, Restart: true}
	st := testStack(testService{name: "web", deps: dep}, testService{name: "db"}, testService{name: "other"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	web, other := w.byName("p-web-1").ID, w.byName("p-other-1").Started
	w.order = nil
	want = wanted(t, want.Wish, st, Command{Verb: VerbUp, Services: []string{"db"}, ForceRecreate: true})
	w.settle(t, want, nil)
	if !slices.Equal(w.order, []string{"stop p-web-1", "stop p-db-1", "replace p-db-1", "start p-db-1", "start p-web-1"}) {
		t.Errorf("order: %v", w.order)
	}
	if w.byName("p-web-1").ID != web || !w.byName("p-other-1").Started.Equal(other) {
		t.Error("web must be the same container, other untouched")
	}
}

// TestRestartReachesAll that restart with the one that is restarted, one after the
// other: each begins when what it needs is back.
func TestRestartReachesAll(t *testing.T) {
	restarting := func(name string) types.DependsOnConfig {
		return types.DependsOnConfig{name: {Condition: types.ServiceConditionStarted, Required: true, Restart: true}}
	}
	st := testStack(testService{name: "last", deps: restarting("web")}, testService{name: "web", deps: restarting("db")},
		testService{name: "beside", deps: needs(types.ServiceConditionStarted, "db")}, testService{name: "db"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	w.order = nil
	want = wanted(t, want.Wish, st, Command{Verb: VerbRestart, Services: []string{"db"}})
	w.settle(t, want, nil)
	if !slices.Equal(w.order, []string{"stop p-last-1", "stop p-web-1", "stop p-db-1", "start p-db-1", "start p-web-1", "start p-last-1"}) {
		t.Errorf("order: %v", w.order)
	}
}

func TestDownRemovesAll(t *testing.T) {
	st := testStack(testService{name: "web", deps: needs(types.ServiceConditionStarted, "db")}, testService{name: "db"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp})
	w.settle(t, want, nil)
	want = wanted(t, want.Wish, st, Command{Verb: VerbDown})
	w.settle(t, want, nil)
	if len(w.seen.Instances) != 0 || len(w.seen.Networks) != 0 {
		t.Errorf("left: %v %v", w.seen.Instances, w.seen.Networks)
	}
}

// TestConverges drives random stacks through random commands, exits and failures.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := drawStack(t)
		w, wish := newWorld(), Wish{}
		for range rapid.IntRange(1, 5).Draw(t, "commands") {
			want := wanted(t, wish, st, drawCommand(t, st))
			wish = want.Wish
			w.settle(t, want, func(p Plan) { checkPlan(t, want, w, p) })
			checkConverged(t, want, w)
			for _, i := range w.seen.Instances {
				if i.State == StateRunning && rapid.Bool().Draw(t, "exits") {
					i.Exited(runtime.Exit{Code: rapid.IntRange(0, 1).Draw(t, "code"), At: w.now},
						RestartPolicy{Condition: rapid.SampledFrom([]string{"no", "always"}).Draw(t, "policy")}, w.now)
				}
			}
			w.now = w.now.Add(time.Hour)
		}
	})
}

func drawStack(t *rapid.T) *spec.Stack {
	n := rapid.IntRange(1, 5).Draw(t, "services")
	var services []testService
	for i := range n {
		s := testService{name: fmt.Sprintf("s%d", i)}
		var deps []string
		for j := range i {
			if rapid.Bool().Draw(t, "needs") {
				deps = append(deps, fmt.Sprintf("s%d", j))
			}
		}
		s.deps = needs(types.ServiceConditionStarted, deps...)
		services = append(services, s)
	}
	return testStack(services...)
}

func drawCommand(t *rapid.T, st *spec.Stack) Command {
	cmd := Command{
		Verb:          rapid.SampledFrom([]Verb{VerbUp, VerbUp, VerbCreate, VerbStop, VerbStart, VerbRestart, VerbScale}).Draw(t, "verb"),
		ForceRecreate: rapid.Bool().Draw(t, "force"),
		Scale:         map[string]int{},
	}
	for _, name := range st.ServiceNames() {
		if rapid.Bool().Draw(t, "select") {
			cmd.Services = append(cmd.Services, name)
		}
		cmd.Scale[name] = rapid.IntRange(0, 4).Draw(t, "scale")
	}
	return cmd
}

// checkPlan holds for every plan on the way.
func checkPlan(t *rapid.T, want Want, w *world, p Plan) {
	if again := Reconcile(want, w.seen, w.now); again.String() != p.String() {
		t.Fatalf("not deterministic:\n%s\n%s", p, again)
	}
	for name, sw := range want.Services {
		if sw.Goal.has() && len(w.seen.replicas(name)) > sw.Scale {
			n := 0
			for _, op := range p.Ops {
				if op.Kind == OpCreate && op.Service == name {
					n++
				}
			}
			if n > 0 {
				t.Fatalf("creates replicas of %s beyond its scale:\n%s", name, p)
			}
		}
	}
}

func checkConverged(t *rapid.T, want Want, w *world) {
	for name, sw := range want.Services {
		replicas := w.seen.replicas(name)
		if sw.Goal.has() && len(replicas) != sw.Scale {
			t.Fatalf("%s has %d replicas, want %d", name, len(replicas), sw.Scale)
		}
		for _, r := range replicas {
			if sw.Goal == GoalStop && r.live() {
				t.Fatalf("%s still runs", r.Name)
			}
			if sw.Goal == GoalRun && want.Sequence == sw.Start && !r.live() {
				t.Fatalf("%s does not run", r.Name)
			}
		}
	}
}

func (w *world) ended() *runtime.Exit { return &runtime.Exit{At: w.now} }

// checkOf is the health check of a service's containers.
func checkOf(want Want, service string) Probe {
	if !checked(want.Stack.Services[service]) {
		return Probe{}
	}
	return Probe{Test: []string{"CMD", "true"}}
}
