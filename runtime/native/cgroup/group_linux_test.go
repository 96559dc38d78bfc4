package cgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stack/runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A hog on 0.3 processors uses 0.3, give or take a tenth. Less is no fault of
// ours while other programs fill the machine, so that is measured again.
// A limit of one process must still let that one be made.
func TestFreezeAndThaw(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	mustStart(t, g, "sh", "-c", "while :; do :; done")
	used := func() time.Duration {
		s, err := statistics(g)
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
	left, right := create(t, p+"/tree/left", nil), create(t, p+"/tree/right/deep", nil)
	mustStart(t, left, "sh", "-c", "sleep 100 & (setsid sleep 100 & sleep 100) & wait")
	mustStart(t, right, "sleep", "100")
	until(t, "five processes live", func() bool {
		pids, err := g.Pids()
		check(t, err)
		return len(pids) >= 5
	})
	check(t, right.Freeze()) // killing the outer one must thaw it
	began := time.Now()
	check(t, g.Kill())
	t.Logf("killed within %s", time.Since(began))
	check(t, g.Kill())
	check(t, g.Delete())
	check(t, g.Delete())
	if _, err := Load(g.Path()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Load of a deleted group: %v", err)
	}
	_, err := statistics(g)
	wantError(t, err, runtime.ErrNotFound)
	wantError(t, g.Freeze(), ErrNotFound)
	check(t, g.Kill())
}

func TestDeleteOfABusyGroup(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	mustStart(t, g, "sleep", "100")
	wantError(t, g.Delete(), ErrBusy)
	check(t, g.Kill())
	check(t, g.Delete())
}

// A process whose main thread ended before the others is killed all the same.
func TestLeaderless(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	t.Setenv(helperVariable, "leaderless")
	cmd := mustStart(t, g, os.Args[0])
	until(t, "its main thread ends", func() bool { return !leaderAlive(cmd.Process.Pid) })
	pids, err := g.Pids()
	check(t, err)
	if !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("processes are %v", pids)
	}
	check(t, g.Kill())
	check(t, g.Delete())
}

// Some hierarchies lack the group, as after a crash in the middle.
func TestHalfMade(t *testing.T) {
	p := project(t)
	g := create(t, p+"/x", nil)
	for i, dir := range g.tree.dirs() {
		if i%2 == 0 && exists(dir) {
			check(t, os.Remove(dir))
		}
	}
	left, err := Load(p + "/x")
	if !isV1(t) && errors.Is(err, ErrNotFound) {
		check(t, needHost(t).removeAll(p)) // its only directory is gone, not the one above
		return
	}
	check(t, err)
	check(t, left.Kill())
	check(t, left.Delete())
}

// Without root the error says what to do.
func TestNotDelegated(t *testing.T) {
	needHost(t)
	err := asNobody(func() error {
		_, _, err := Create(home+"/nobody/x", nil)
		return err
	})
	wantError(t, err, ErrNotDelegated)
}

// Writing 4 MB at 8 MB a second takes half a second, and is counted.
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
	t.Setenv(helperVariable, "kill "+g.Path())
	helper, err := start(g, os.Args[0])
	check(t, err)
	if err := helper.Wait(); err != nil {
		t.Errorf("the helper ended with %v", err)
	}
	check(t, g.Delete())
}

// The second of two limits is refused: the first one is taken back.
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
		if _, err := Load(path); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("Load(%q): %v", path, err)
		}
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
