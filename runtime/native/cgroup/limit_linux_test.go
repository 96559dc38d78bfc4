package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestMemoryHogIsKilledAndCounted(t *testing.T) {
	p := project(t)
	g := create(t, p+"/hog", &specs.LinuxResources{Memory: &specs.LinuxMemory{
		Limit: ptr[int64](32 * mb), Swap: ptr[int64](32 * mb)}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	events, err := g.OOMEvents(ctx)
	check(t, err)
	hog := mustStart(t, g, "tail", "/dev/zero")
	wait(ctx, t, events)
	if err := hog.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the hog ended with %v", err)
	}
	kills, err := g.OOMKills()
	check(t, err)
	s, err := statistics(g)
	check(t, err)
	if kills != 1 {
		t.Errorf("%d OOM kills counted", kills)
	}
	if s.MemoryLimit != 32*mb {
		t.Errorf("the memory limit is %d", s.MemoryLimit)
	}
	check(t, g.Delete())
	cancel()
	for range events { // closes
	}
}

func TestOOMChannelClosesWithTheContext(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := g.OOMEvents(ctx)
	check(t, err)
	cancel()
	for range events {
		t.Error("an event without a reason")
	}
	check(t, g.Delete())
}

func TestCPUHogKeepsItsShare(t *testing.T) {
	p := project(t)
	g := create(t, p+"/hog", &specs.LinuxResources{CPU: &specs.LinuxCPU{
		Quota: ptr[int64](30_000), Period: ptr[uint64](100_000)}})
	mustStart(t, g, "sh", "-c", "while :; do :; done")
	const quota = 0.3
	var share, least float64
	for range 5 {
		before, err := statistics(g)
		check(t, err)
		time.Sleep(2 * time.Second)
		after, err := statistics(g)
		check(t, err)
		took := after.At.Sub(before.At)
		share = float64(after.CPUUsage-before.CPUUsage) / float64(took)
		// While others want the processors it may get less, but is not held back then.
		held := float64(after.Throttled-before.Throttled) / float64(took) / (1 - quota)
		if least = 0.9 * quota * held; share > least && share < 1.1*quota && after.Throttled > 0 {
			break
		}
	}
	if share < least || share > 1.1*quota {
		t.Errorf("it used %.3f processors, and at least %.3f is its due", share, least)
	}
	check(t, g.Kill())
	check(t, g.Delete())
}

func TestForkBombStopsAtPids(t *testing.T) {
	p := project(t)
	const limit = 20
	g := create(t, p+"/bomb", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](limit)}})
	// A shell whose every child starts two more.
	mustStart(t, g, "sh", "-c", "b() { b & b & wait; }; b 2>/dev/null")
	until(t, "the bomb reaches its limit", func() bool {
		s, err := statistics(g)
		check(t, err)
		if s.Pids > limit || s.PidsLimit != limit {
			t.Fatalf("%d processes, with a limit of %d", s.Pids, s.PidsLimit)
		}
		return s.Pids == limit || strings.TrimPrefix(content(t, g, "pids", "pids.events"), "max ") != "0"
	})
	check(t, g.Kill())
	pids, err := g.Pids()
	check(t, err)
	if len(pids) > 0 {
		t.Errorf("%v survived", pids)
	}
	check(t, g.Delete())
}

func TestOnePid(t *testing.T) {
	p := project(t)
	g := create(t, p+"/one", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](1)}})
	mustStart(t, g, "sleep", "100")
	until(t, "the creating thread is gone", func() bool {
		s, err := statistics(g)
		check(t, err)
		return s.Pids <= 1
	})
	check(t, g.Settle())
	if got := content(t, g, "pids", "pids.max"); got != "1" {
		t.Errorf("the limit is %s", got)
	}
	if cmd, err := start(g, "true"); err == nil {
		_ = cmd.Wait()
		t.Error("a second process was made")
	}
	check(t, g.Kill())
	check(t, g.Delete())
}

func TestBlockThrottleAndStatistics(t *testing.T) {
	p := project(t)
	device, number := loopDevice(t)
	limit := specs.LinuxThrottleDevice{Rate: 8 * mb}
	limit.Major, limit.Minor = int64(unix.Major(number)), int64(unix.Minor(number))
	g := create(t, p+"/x", &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{limit}}})
	began := time.Now()
	check(t, mustStart(t, g, "dd", "if=/dev/zero", "of="+device, "bs=1M", "count=4", "oflag=direct").Wait())
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("it took only %s", took)
	}
	s, err := statistics(g)
	check(t, err)
	if s.WriteBytes != 4*mb {
		t.Errorf("%d bytes written", s.WriteBytes)
	}
	check(t, g.Delete())
}

func TestUpdateLive(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{Memory: &specs.LinuxMemory{
		Limit: ptr[int64](64 * mb), Swap: ptr[int64](64 * mb)}})
	cmd := mustStart(t, g, "sleep", "100")
	memory := func(limit, swap int64) *specs.LinuxResources {
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &swap}}
	}
	limit := func() uint64 {
		s, err := statistics(g)
		check(t, err)
		return s.MemoryLimit
	}
	for _, size := range []int64{128 * mb, 48 * mb, 96 * mb} {
		check(t, g.Update(memory(size, size)))
		if limit() != uint64(size) {
			t.Errorf("the limit is %d instead of %d", limit(), size)
		}
	}
	check(t, g.Update(memory(-1, -1)))
	if limit() != 0 {
		t.Errorf("the limit is %d instead of none", limit())
	}
	check(t, g.Update(&specs.LinuxResources{
		CPU:  &specs.LinuxCPU{Quota: ptr[int64](50_000), Cpus: "0", Shares: ptr[uint64](512)},
		Pids: &specs.LinuxPids{Limit: ptr[int64](50)},
	}))
	if got := content(t, g, "pids", "pids.max"); got != "50" {
		t.Errorf("pids.max is %s", got)
	}
	if got := content(t, g, "cpuset", "cpuset.cpus"); got != "0" {
		t.Errorf("cpuset.cpus is %s", got)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	check(t, err)
	if !strings.Contains(string(status), "Cpus_allowed_list:\t0\n") {
		t.Error("the living process was not confined to processor 0")
	}
	check(t, g.Kill())
	check(t, g.Delete())
	wantError(t, g.Update(memory(mb, mb)), ErrNotFound)
}

func TestUpdateBelowUse(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{Memory: &specs.LinuxMemory{
		Limit: ptr[int64](128 * mb), Swap: ptr[int64](128 * mb)}})
	// A shell that holds some 32 MB.
	mustStart(t, g, "sh", "-c", `x=0123456789abcdef; i=0; while [ $i -lt 21 ]; do x=$x$x; i=$((i+1)); done; sleep 100; echo $x`)
	until(t, "the memory is in use", func() bool {
		s, err := statistics(g)
		check(t, err)
		return s.Memory > 32*mb
	})
	err := g.Update(&specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](512)},
		Memory: &specs.LinuxMemory{Limit: ptr[int64](4 * mb), Swap: ptr[int64](4 * mb), CheckBeforeUpdate: ptr(true)},
	})
	wantError(t, err, ErrInUse)
	s, err := statistics(g)
	check(t, err)
	kills, err := g.OOMKills()
	check(t, err)
	if s.MemoryLimit != 128*mb || kills != 0 {
		t.Errorf("the limit is %d, with %d kills", s.MemoryLimit, kills)
	}
	check(t, g.Kill())
	check(t, g.Delete())
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](64 * mb)}})
	err := g.Update(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr[int64](96 * mb)},
		CPU:    &specs.LinuxCPU{Quota: ptr[int64](1)}, // at least a millisecond
	})
	if err == nil {
		t.Error("a quota of one microsecond is accepted")
	}
	s, err := statistics(g)
	check(t, err)
	if s.MemoryLimit != 64*mb {
		t.Errorf("the memory limit is %d", s.MemoryLimit)
	}
	check(t, g.Delete())
}

func TestRefusedLimitLeavesNothing(t *testing.T) {
	p := project(t)
	for name, r := range map[string]*specs.LinuxResources{
		"processor": {CPU: &specs.LinuxCPU{Cpus: "4000"}},
		"quota":     {CPU: &specs.LinuxCPU{Quota: ptr[int64](1)}},
		"device": {BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{
			throttled(4000, 4000)}}},
	} {
		if _, _, err := Create(p+"/"+name, r); err == nil {
			t.Errorf("%s is accepted", name)
		} else {
			t.Log(err)
		}
	}
}

func throttled(major, minor int64) specs.LinuxThrottleDevice {
	d := specs.LinuxThrottleDevice{Rate: mb}
	d.Major, d.Minor = major, minor
	return d
}

func TestUnsupportedLimits(t *testing.T) {
	p := project(t)
	r := &specs.LinuxResources{
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: mb}},
		Pids:           &specs.LinuxPids{Limit: ptr[int64](10)},
	}
	g, warnings, err := Create(p+"/x", r)
	check(t, err)
	if len(warnings) != 1 || !strings.Contains(warnings[0], "huge page limit 3MB") {
		t.Errorf("warnings are %q", warnings)
	}
	var unsupported *UnsupportedError
	if err := g.Update(r); !errors.As(err, &unsupported) || len(unsupported.Limits) != 1 {
		t.Errorf("Update: %v", err)
	}
	check(t, g.Delete())
}
