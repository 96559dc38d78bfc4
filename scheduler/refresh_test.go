package scheduler

import (
	"encoding/json"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/netns"
)

func TestLimitChanges(t *testing.T) {
	type limits struct {
		memory, swap, reservation types.UnitBytes
		cpus                      float32
		cpuset                    string
		shares, pids              int64
	}
	change := func(before, now limits, m Machine) string {
		t.Helper()
		of := func(l limits) types.ServiceConfig {
			var s types.ServiceConfig
			s.MemLimit, s.MemSwapLimit, s.MemReservation = l.memory, l.swap, l.reservation
			s.CPUS, s.CPUShares, s.PidsLimit = l.cpus, l.shares, l.pids
			s.CPUSet = l.cpuset
			return s
		}
		a, _, err := limitsOf(of(before), m)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := limitsOf(of(now), m)
		if err != nil {
			t.Fatal(err)
		}
		memory, _, others := limitChanges(a, b, m)
		x, _ := json.Marshal(memory)
		y, _ := json.Marshal(others)
		return string(x) + " " + string(y)
	}
	full := limits{memory: 1 << 20, reservation: 1 << 19, cpus: 0.5, shares: 7, pids: 9}
	for _, c := range []struct {
		what        string
		before, now limits
		v2          bool
		want        string
	}{
		{"nothing", full, full, false, `null null`},
		{"all set", limits{}, full, false, `{"memory":{"limit":1048576,"reservation":524288,"swap":2097152}} {"cpu":{"shares":7,"quota":50000},"pids":{"limit":9}}`},
		{"all unset", full, limits{}, false, `{"memory":{"limit":-1,"reservation":-1,"swap":-1}} {"cpu":{"shares":1024,"quota":-1},"pids":{"limit":-1}}`},
		{"other processors", limits{cpuset: "0"}, limits{cpuset: "1"}, false, `null {"cpu":{"cpus":"1"}}`},
		{"unset on version 2", full, limits{memory: 1 << 20}, true, `{"memory":{"reservation":1}} {"cpu":{"shares":1024,"quota":-1},"pids":{"limit":-1}}`},
		{"one", full, limits{memory: 2 << 20, reservation: 1 << 19, cpus: 0.5, shares: 7, pids: 9}, false, `{"memory":{"limit":2097152,"swap":4194304}} null`},
	} {
		if got := change(c.before, c.now, Machine{CgroupV2: c.v2}); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
}

// Weights and rates of block devices are changed, rates also taken away; of a device
// that is gone nothing is.
func TestBlockChanges(t *testing.T) {
	m := Machine{Devices: map[string]DeviceNode{"/dev/a": {Type: "b", Major: 1, Minor: 2}, "/dev/b": {Type: "b", Major: 3, Minor: 4}}}
	rate := func(path string, n int64) []types.ThrottleDevice {
		return []types.ThrottleDevice{{Path: path, Rate: types.UnitBytes(n)}}
	}
	for _, c := range []struct {
		before, now *types.BlkioConfig
		want        string
	}{
		{&types.BlkioConfig{Weight: 10, DeviceReadBps: rate("/dev/a", 5)}, &types.BlkioConfig{Weight: 10, DeviceReadBps: rate("/dev/a", 5)}, `null`},
		{&types.BlkioConfig{Weight: 10}, &types.BlkioConfig{Weight: 20}, `{"blockIO":{"weight":20}}`},
		{&types.BlkioConfig{DeviceReadBps: rate("/dev/a", 5)}, &types.BlkioConfig{DeviceReadBps: rate("/dev/a", 6)},
			`{"blockIO":{"throttleReadBpsDevice":[{"major":1,"minor":2,"rate":6}]}}`},
		{&types.BlkioConfig{DeviceWriteIOps: rate("/dev/a", 5)}, &types.BlkioConfig{DeviceWriteIOps: rate("/dev/b", 5)},
			`{"blockIO":{"throttleWriteIOPSDevice":[{"major":3,"minor":4,"rate":5},{"major":1,"minor":2,"rate":0}]}}`},
		{nil, &types.BlkioConfig{DeviceReadIOps: rate("/dev/b", 7)}, `{"blockIO":{"throttleReadIOPSDevice":[{"major":3,"minor":4,"rate":7}]}}`},
		{&types.BlkioConfig{DeviceWriteBps: rate("/dev/b", 7)}, nil, `{"blockIO":{"throttleWriteBpsDevice":[{"major":3,"minor":4,"rate":0}]}}`},
		{&types.BlkioConfig{DeviceWriteBps: rate("/dev/gone", 7)}, nil, `null`},
		{&types.BlkioConfig{WeightDevice: []types.WeightDevice{{Path: "/dev/a", Weight: 9}}}, &types.BlkioConfig{WeightDevice: []types.WeightDevice{{Path: "/dev/a", Weight: 8}}},
			`{"blockIO":{"weightDevice":[{"major":1,"minor":2,"weight":8}]}}`},
	} {
		of := func(b *types.BlkioConfig) *specs.LinuxResources {
			r, _, err := limitsOf(withoutGone(serviceWith(b), m), m)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		_, block, others := limitChanges(of(c.before), of(c.now), m)
		if got, _ := json.Marshal(block); string(got) != c.want || others != nil {
			t.Errorf("%s\nwant\n%s", got, c.want)
		}
	}
}

// A replica whose settings changed goes on; one whose command changed does not.
func TestSettingsNeedNoNewContainer(t *testing.T) {
	st := testStack(testService{name: "web"})
	w := newWorld()
	want := wanted(t, Wish{}, st, Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	w.settle(t, want, nil)
	for _, i := range w.seen.Instances {
		i.Recreate = want.Recreates["web"]
	}
	changed := func(edit func(*types.ServiceConfig)) Want {
		next := testStack(testService{name: "web"})
		svc := next.Services["web"]
		edit(&svc)
		next.Services["web"] = svc
		return wanted(t, want.Wish, next, Command{Verb: VerbUp, Scale: map[string]int{"web": 2}})
	}
	smaller := changed(func(s *types.ServiceConfig) { s.MemLimit = 1 << 30 })
	if got := Foresee(smaller, w.seen, w.now).String(); got != `update p-web-1: its settings changed, nothing that needs a new container
update p-web-2: its settings changed, nothing that needs a new container
` {
		t.Errorf("a changed limit plans:\n%s", got)
	}
	ids := []string{w.byName("p-web-1").ID, w.byName("p-web-2").ID}
	w.settle(t, smaller, nil)
	if w.byName("p-web-1").ID != ids[0] || w.byName("p-web-2").ID != ids[1] {
		t.Error("a replica was replaced")
	}
	w.order = nil
	w.settle(t, changed(func(s *types.ServiceConfig) { s.Command = []string{"x"} }), nil)
	if w.byName("p-web-1").ID == ids[0] || w.byName("p-web-2").ID == ids[1] {
		t.Errorf("a changed command replaced nobody: %v", w.order)
	}
}

func TestChosenPortsStay(t *testing.T) {
	before := []netns.Port{{Target: 80, HostPort: 4001}, {Target: 80, HostPort: 4002}, {Target: 81, HostPort: 4003}}
	var now []netns.Port
	for _, target := range []uint16{80, 80, 80, 82} {
		now = append(now, chosenBefore(netns.Port{Target: target}, before, now))
	}
	for n, want := range []uint16{4001, 4002, 0, 0} {
		if now[n].HostPort != want {
			t.Errorf("port %d is %d, want %d", n, now[n].HostPort, want)
		}
	}
}

func serviceWith(b *types.BlkioConfig) (s types.ServiceConfig) {
	s.BlkioConfig = b
	return s
}
