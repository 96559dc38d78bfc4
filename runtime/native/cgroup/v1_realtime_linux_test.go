package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A group can have no more real time than the one above: ours get what those below
// ask for, also when several ask at once.
func TestRealtimeIsLentByTheGroupsAbove(t *testing.T) {
	p := project(t)
	if !isV1(t) {
		t.Skip("skipped: cgroup v2 has no real-time limits")
	}
	tree := needHost(t).group(p, true).tree.(*v1)
	h, ok := tree.find("cpu")
	if !ok || !exists(filepath.Join(h.mount, realtimeRuntime)) {
		unable(t, "the kernel has no real-time groups")
	}
	var all sync.WaitGroup
	groups, errs := make([]*Group, 4), make([]error, 4)
	for i := range groups {
		all.Go(func() {
			groups[i], _, errs[i] = Create(fmt.Sprintf("%s/%d", p, i), &specs.LinuxResources{CPU: &specs.LinuxCPU{
				RealtimePeriod: ptr[uint64](500_000), RealtimeRuntime: ptr[int64](2_500)}})
		})
	}
	all.Wait()
	check(t, errors.Join(errs...))
	value, err := readValue(h.mount + p + "/" + realtimeRuntime)
	check(t, err)
	if n, _ := strconv.Atoi(value); n < 4*5_000 {
		t.Errorf("the project has %d µs of real time, its groups 4 times 5000", n)
	}
	for _, g := range groups {
		if got := content(t, g, "cpu", realtimeRuntime); got != "2500" {
			t.Errorf("a group has %s µs", got)
		}
		check(t, g.Delete())
	}
}
