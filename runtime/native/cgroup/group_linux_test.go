package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
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
	s, err := g.Stats()
	check(t, err)
	if kills != 1 || s.OOMKills != 1 {
		t.Errorf("%d OOM kills counted, %d in the statistics", kills, s.OOMKills)
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

// A hog on 0.3 processors uses 0.3, give or take a tenth. Less is no fault of
// ours while other programs fill the machine, so that is measured again.
func TestCPUHogKeepsItsShare(t *testing.T) {
	p := project(t)
	g := create(t, p+"/hog", &specs.LinuxResources{CPU: &specs.LinuxCPU{
		Quota: ptr[int64](30_000), Period: ptr[uint64](100_000)}})
	mustStart(t, g, "sh", "-c", "while :; do :; done")
	var share float64
	for range 5 {
		before, err := g.Stats()
		check(t, err)
		time.Sleep(2 * time.Second)
		after, err := g.Stats()
		check(t, err)
		share = float64(after.CPUUsage-before.CPUUsage) / float64(after.At.Sub(before.At))
		if after.Throttled == 0 {
			t.Error("it was never throttled")
		}
		if share > 0.27 {
			break
		}
	}
	if share < 0.27 || share > 0.33 {
		t.Errorf("it used %.3f processors", share)
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
		s, err := g.Stats()
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

// A limit of one process must still let that one be made.
func TestOnePid(t *testing.T) {
	p := project(t)
	g := create(t, p+"/one", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](1)}})
	mustStart(t, g, "sleep", "100")
	until(t, "the creating thread is gone", func() bool {
		s, err := g.Stats()
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

func TestFreezeAndThaw(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	mustStart(t, g, "sh", "-c", "while :; do :; done")
	used := func() time.Duration {
		s, err := g.Stats()
		check(t, err)
		return s.CPUUsage
	}
	check(t, g.Freeze())
	check(t, g.Freeze())
	if is, err := g.Frozen(); err != nil || !is {
		t.Errorf("frozen: %v, %v", is, err)
	}
	before := used()
	time.Sleep(50 * time.Millisecond)
	if after := used(); after-before > 5*time.Millisecond {
		t.Errorf("it used %s frozen", after-before)
	}
	check(t, g.Thaw())
	check(t, g.Thaw())
	if is, err := g.Frozen(); err != nil || is {
		t.Errorf("frozen after the thaw: %v, %v", is, err)
	}
	until(t, "it goes on", func() bool { return used() > before+5*time.Millisecond })
	check(t, g.Freeze())
	if _, err := start(g, "true"); !errors.Is(err, ErrFrozen) {
		t.Errorf("starting in a frozen group: %v", err)
	}
	check(t, g.Kill()) // of a frozen group
	check(t, g.Delete())
}

func TestKillOfATree(t *testing.T) {
	p := project(t)
	g := create(t, p+"/tree", nil)
	inner := create(t, p+"/tree/inner", nil)
	mustStart(t, g, "sh", "-c", "sleep 100 & (setsid sleep 100 & sleep 100) & wait")
	mustStart(t, inner, "sleep", "100")
	until(t, "five processes live", func() bool {
		pids, err := g.Pids()
		check(t, err)
		return len(pids) >= 5
	})
	wantError(t, g.Delete(), ErrBusy)
	check(t, inner.Freeze()) // killing the outer one must thaw it
	began := time.Now()
	check(t, g.Kill())
	t.Logf("killed within %s", time.Since(began))
	check(t, g.Kill())
	check(t, g.Delete())
	check(t, g.Delete())
	if _, err := Load(g.Path()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load of a deleted group: %v", err)
	}
	check(t, g.Kill())
}

// A thread of this process in the group is neither listed, killed nor frozen.
func TestCreatorSurvives(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	mustStart(t, g, "sleep", "100")
	entered, leave := make(chan error), make(chan struct{})
	go enterAndStay(g, entered, leave)
	check(t, <-entered)
	pids, err := g.Pids()
	check(t, err)
	if slices.Contains(pids, os.Getpid()) || len(pids) != 1 {
		t.Errorf("processes are %v, and this one is %d", pids, os.Getpid())
	}
	if isV1(t) {
		wantError(t, g.Freeze(), ErrBusy)
	}
	check(t, g.tree.kill(10*time.Second)) // without Kill's own check
	close(leave)
	check(t, g.Delete())
}

func TestRefusesToKillItself(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	t.Setenv("CGROUP_TEST_GROUP", g.Path())
	helper, err := start(g, os.Args[0], "-test.run=^TestHelperKillsItsGroup$")
	check(t, err)
	if err := helper.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
	check(t, g.Delete())
}

func TestHelperKillsItsGroup(t *testing.T) {
	path := os.Getenv("CGROUP_TEST_GROUP")
	if path == "" {
		return // it runs for TestRefusesToKillItself
	}
	g, err := Load(path)
	check(t, err)
	wantError(t, g.Kill(), ErrBusy)
	wantError(t, RemoveAll(path), ErrBusy)
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
		s, err := g.Stats()
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
		s, err := g.Stats()
		check(t, err)
		return s.Memory > 32*mb
	})
	err := g.Update(&specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr[uint64](512)},
		Memory: &specs.LinuxMemory{Limit: ptr[int64](4 * mb), Swap: ptr[int64](4 * mb), CheckBeforeUpdate: ptr(true)},
	})
	wantError(t, err, ErrInUse)
	s, err := g.Stats()
	check(t, err)
	if s.MemoryLimit != 128*mb || s.OOMKills != 0 {
		t.Errorf("the limit is %d, with %d kills", s.MemoryLimit, s.OOMKills)
	}
	check(t, g.Kill())
	check(t, g.Delete())
}

// The second of two limits is refused: the first one is taken back.
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
	s, err := g.Stats()
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

func TestCreateReplacesUnusedAndRefusesUsed(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](7)}})
	g = create(t, g.Path(), nil)
	if got := content(t, g, "pids", "pids.max"); got != "max" {
		t.Errorf("the limit of the previous group stands: %s", got)
	}
	mustStart(t, g, "sleep", "100")
	_, _, err := Create(g.Path(), nil)
	wantError(t, err, ErrExists)
	pids, err := g.Pids()
	check(t, err)
	if len(pids) != 1 {
		t.Errorf("processes after the refusal: %v", pids)
	}
	check(t, g.Kill())
	check(t, g.Delete())
}

func TestBadPaths(t *testing.T) {
	needHost(t)
	for _, path := range []string{"", "/", "/stack/../x", "stack/x"} {
		if _, _, err := Create(path, nil); err == nil {
			t.Errorf("Create(%q) succeeds", path)
		}
		if RemoveAll(path) == nil {
			t.Errorf("RemoveAll(%q) succeeds", path)
		}
	}
}

func TestListAndRemoveAll(t *testing.T) {
	p := project(t)
	for i := range 3 {
		mustStart(t, create(t, fmt.Sprintf("%s/%d", p, i), nil), "sleep", "100")
	}
	got, err := List(p)
	check(t, err)
	if want := []string{p + "/0", p + "/1", p + "/2"}; !slices.Equal(got, want) {
		t.Errorf("List is %v", got)
	}
	check(t, RemoveAll(p))
	check(t, RemoveAll(p))
	got, err = List(p)
	check(t, err)
	if len(got) > 0 {
		t.Errorf("%v are left", got)
	}
}

// Fifty groups of one project come and go at once; the project's own directory
// vanishes and returns under them.
func TestFiftyAtOnce(t *testing.T) {
	p := project(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 3 {
				if err := oneLife(fmt.Sprintf("%s/%d", p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func oneLife(path string) error {
	g, _, err := Create(path, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](10)}})
	if err != nil {
		return err
	}
	cmd, err := start(g, "sleep", "100")
	if err != nil {
		return err
	}
	if err := g.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait()
	return g.Delete()
}

func TestAddAndPaths(t *testing.T) {
	p := project(t)
	g := create(t, p+"/a", nil)
	other := create(t, p+"/b", nil)
	cmd := mustStart(t, g, "sleep", "100")
	check(t, other.Add(cmd.Process.Pid))
	pids, err := other.Pids()
	check(t, err)
	if !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("processes are %v", pids)
	}
	for c, dir := range other.Paths() {
		list, err := readPids(dir + "/cgroup.procs")
		if err != nil || !slices.Contains(list, cmd.Process.Pid) {
			t.Errorf("%s: %s lists %v, %v", c, dir, list, err)
		}
	}
	check(t, other.Kill())
	check(t, other.Delete())
	check(t, g.Delete())
}

// A detached group leads out of every tree, the unified one of hybrid included.
func TestDetached(t *testing.T) {
	p := project(t)
	g, err := CreateDetached(p + "/shim")
	check(t, err)
	cmd := mustStart(t, g, "sleep", "100")
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	check(t, err)
	for line := range strings.Lines(strings.TrimSpace(string(own))) {
		name := strings.SplitN(line, ":", 3)[1]
		if optional := name == "cpuset" || name == "hugetlb" || strings.HasPrefix(name, "net_") || name == "perf_event"; optional {
			continue
		}
		if !strings.HasSuffix(strings.TrimSpace(line), g.Path()) {
			t.Errorf("it is in %s", line)
		}
	}
	loaded, err := Load(g.Path())
	check(t, err)
	check(t, loaded.Kill())
	check(t, loaded.Delete())
}
