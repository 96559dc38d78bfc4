package cgroup

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func ptr[T any](v T) *T { return &v }

const mb = 1 << 20

// planCases are resources and the state of the group they are applied to.
func planCases() []struct {
	name string
	r    *specs.LinuxResources
	now  state
} {
	grown := state{memory: 64 * mb, swap: 96 * mb, quota: 50_000, period: 200_000, burst: 20_000}
	return []struct {
		name string
		r    *specs.LinuxResources
		now  state
	}{
		{"nothing", nil, fresh()},
		{"zero is unset", &specs.LinuxResources{
			Memory:  &specs.LinuxMemory{Limit: ptr[int64](0), Swap: ptr[int64](0), Reservation: ptr[int64](0)},
			CPU:     &specs.LinuxCPU{Shares: ptr[uint64](0), Quota: ptr[int64](0), Period: ptr[uint64](0)},
			BlockIO: &specs.LinuxBlockIO{Weight: ptr[uint16](0)},
		}, fresh()},
		{"memory", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr[int64](64 * mb), Swap: ptr[int64](96 * mb), Reservation: ptr[int64](32 * mb),
			//lint:ignore SA1019 to be told, not used
			Swappiness: ptr[uint64](10), DisableOOMKiller: ptr(true), Kernel: ptr[int64](mb), KernelTCP: ptr[int64](mb),
		}}, fresh()},
		{"memory without swap", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr[int64](64 * mb), Swap: ptr[int64](64 * mb)}}, fresh()},
		{"memory with any swap", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr[int64](64 * mb), Swap: ptr[int64](-1)}}, fresh()},
		{"raise memory and swap", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr[int64](128 * mb), Swap: ptr[int64](256 * mb)}}, grown},
		{"lower memory and swap", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr[int64](16 * mb), Swap: ptr[int64](32 * mb)}}, grown},
		{"memory unlimited again", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr[int64](-1)}}, grown},
		{"swap alone", &specs.LinuxResources{Memory: &specs.LinuxMemory{
			Swap: ptr[int64](80 * mb)}}, grown},
		{"cpu", &specs.LinuxResources{CPU: &specs.LinuxCPU{
			Shares: ptr[uint64](512), Quota: ptr[int64](30_000), Period: ptr[uint64](100_000), Burst: ptr[uint64](10_000),
			Cpus: "0-1", Mems: "0", RealtimeRuntime: ptr[int64](950), RealtimePeriod: ptr[uint64](1000), Idle: ptr[int64](1),
		}}, fresh()},
		{"quota keeps the period", &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](70_000)}}, grown},
		{"period keeps the quota", &specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr[uint64](100_000)}}, grown},
		{"quota off", &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr[int64](-1)}}, grown},
		{"lower burst and quota", &specs.LinuxResources{CPU: &specs.LinuxCPU{
			Quota: ptr[int64](10_000), Burst: ptr[uint64](5_000)}}, grown},
		{"raise burst and quota", &specs.LinuxResources{CPU: &specs.LinuxCPU{
			Quota: ptr[int64](90_000), Burst: ptr[uint64](80_000)}}, grown},
		{"pids", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](100)}}, fresh()},
		{"pids unlimited", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](-1)}}, fresh()},
		{"pids zero", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](0)}}, fresh()},
		{"block", blockResources(), fresh()},
		{"huge pages", &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 * mb}}}, fresh()},
		{"rdma", &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{
			"mlx5_1": {HcaHandles: ptr[uint32](3)}, "mlx4_0": {HcaHandles: ptr[uint32](2), HcaObjects: ptr[uint32](2000)},
		}}, fresh()},
		{"network", &specs.LinuxResources{Network: &specs.LinuxNetwork{
			ClassID: ptr[uint32](0x100001), Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 5}},
		}}, fresh()},
		{"devices", &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
			{Access: "rwm"},
			{Allow: true, Type: "c", Access: "m"},
			{Allow: true, Type: "c", Major: ptr[int64](1), Minor: ptr[int64](3), Access: "rwm"},
			{Allow: true, Type: "a", Major: ptr[int64](10), Minor: ptr[int64](-1), Access: "r"},
		}}, fresh()},
	}
}

func blockResources() *specs.LinuxResources {
	weighted := specs.LinuxWeightDevice{Weight: ptr[uint16](700)}
	weighted.Major, weighted.Minor = 8, 0
	limited := specs.LinuxThrottleDevice{Rate: mb}
	limited.Major, limited.Minor = 8, 16
	open := limited
	open.Rate = 0
	return &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		Weight: ptr[uint16](500), LeafWeight: ptr[uint16](10), WeightDevice: []specs.LinuxWeightDevice{weighted},
		ThrottleReadBpsDevice:   []specs.LinuxThrottleDevice{limited},
		ThrottleWriteBpsDevice:  []specs.LinuxThrottleDevice{limited},
		ThrottleReadIOPSDevice:  []specs.LinuxThrottleDevice{limited},
		ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{open},
	}}
}

func TestPlanGolden(t *testing.T) {
	for file, compute := range map[string]func(*specs.LinuxResources, state) (plan, error){
		"testdata/v1.golden": planV1, "testdata/v2.golden": planV2,
	} {
		var b strings.Builder
		for _, c := range planCases() {
			p, err := compute(c.r, c.now)
			b.WriteString("-- " + c.name + " --\n" + p.String())
			if err != nil {
				b.WriteString("error: " + err.Error() + "\n")
			}
		}
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s differs (run with -update and look):\n%s", file, b.String())
		}
	}
}

func TestPlanErrors(t *testing.T) {
	memory := func(m specs.LinuxMemory) *specs.LinuxResources { return &specs.LinuxResources{Memory: &m} }
	device := func(d ...specs.LinuxDeviceCgroup) *specs.LinuxResources { return &specs.LinuxResources{Devices: d} }
	limited := state{memory: 64 * mb, swap: 96 * mb, usage: 50 * mb, period: defaultPeriod}
	for _, c := range []struct {
		name   string
		r      *specs.LinuxResources
		now    state
		v1, v2 string // a part of the error; empty is none
	}{
		{"swap without memory", memory(specs.LinuxMemory{Swap: ptr[int64](mb)}), fresh(), "needs a memory limit", "needs a memory limit"},
		{"swap below memory", memory(specs.LinuxMemory{Limit: ptr[int64](2 * mb), Swap: ptr[int64](mb)}), fresh(), "below the memory limit", "below the memory limit"},
		{"memory above both", memory(specs.LinuxMemory{Limit: ptr[int64](128 * mb)}), limited, "raise both", ""},
		{"checked before update", memory(specs.LinuxMemory{Limit: ptr[int64](32 * mb), CheckBeforeUpdate: ptr(true)}), limited, "", ErrInUse.Error()},
		{"unified", &specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}, fresh(), "need cgroup v2", ""},
		{"unified path", &specs.LinuxResources{Unified: map[string]string{"../memory.high": "1"}}, fresh(), "need cgroup v2", "not the name"},
		{"unified moves", &specs.LinuxResources{Unified: map[string]string{"cgroup.procs": "1"}}, fresh(), "need cgroup v2", "not a limit"},
		{"device type", device(specs.LinuxDeviceCgroup{Type: "p"}), fresh(), "device type", "device type"},
		{"device access", device(specs.LinuxDeviceCgroup{Type: "c", Access: "rx"}), fresh(), "device access", "device access"},
		{"device number", device(specs.LinuxDeviceCgroup{Type: "c", Major: ptr[int64](1 << 33)}), fresh(), "out of range", "out of range"},
		{"device hole", device(
			specs.LinuxDeviceCgroup{Allow: true, Type: "c"},
			specs.LinuxDeviceCgroup{Type: "c", Major: ptr[int64](1), Minor: ptr[int64](3)}), fresh(), "takes back a part", ""},
	} {
		for version, want := range map[string]string{"v1": c.v1, "v2": c.v2} {
			compute := map[string]func(*specs.LinuxResources, state) (plan, error){"v1": planV1, "v2": planV2}[version]
			_, err := compute(c.r, c.now)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: error %v, want %q", c.name, version, err, want)
			}
		}
	}
	_, err := planV2(memory(specs.LinuxMemory{Limit: ptr[int64](32 * mb), CheckBeforeUpdate: ptr(true)}), limited)
	if !errors.Is(err, ErrInUse) {
		t.Errorf("%v is not ErrInUse", err)
	}
}

func TestFreshGroupNeedsNoDefaults(t *testing.T) {
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](-1), Swap: ptr[int64](-1), Reservation: ptr[int64](-1), DisableOOMKiller: ptr(false)},
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](1024), Quota: ptr[int64](-1), Period: ptr[uint64](100_000), Burst: ptr[uint64](0), Idle: ptr[int64](0)},
		Pids:   &specs.LinuxPids{Limit: ptr[int64](-1)},
	}
	for name, compute := range map[string]func(*specs.LinuxResources, state) (plan, error){"v1": planV1, "v2": planV2} {
		p, err := compute(r, fresh())
		if err != nil {
			t.Fatal(err)
		}
		p = p.withoutDefaults()
		for _, s := range p.settings {
			if s.file != "memory.low" { // "max" is not its default
				t.Errorf("%s writes %s", name, s)
			}
		}
	}
}
