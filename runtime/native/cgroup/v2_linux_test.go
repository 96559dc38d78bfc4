package cgroup

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// needV2 skips on a machine with version 1, where .ci/v2/run brings the guest
// that these tests are for: a missing feature of this one is no failure.
func needV2(t *testing.T) *Host {
	t.Helper()
	h := needHost(t)
	if h.Mode != V2 {
		t.Skip("needs cgroup v2: .ci/v2/run runs it")
	}
	return h
}

// The mount's root may be a group with processes of its own, in a container that
// has no cgroup namespace of its own or whose programs sit at its root.
func TestInternalProcesses(t *testing.T) {
	h := needV2(t)
	p := project(t)
	g := create(t, p+"/busy", nil)
	mustStart(t, g, "sleep", "100")
	nested := &Host{Mode: V2, trees: []hierarchy{{mount: g.Paths()["unified"], controllers: h.trees[0].controllers}}}
	_, _, err := nested.Create("/stack/web/x", nil)
	if err == nil || !strings.Contains(err.Error(), "holds 1 processes itself") {
		t.Errorf("error is %v", err)
	}
	if got, err := subgroups(g.tree.cloneDir()); err != nil || len(got) > 0 {
		t.Errorf("left: %v, %v", got, err)
	}
	check(t, g.Kill())
	if _, _, err := nested.Create("/stack/web/x", nil); err != nil {
		t.Errorf("after they are gone: %v", err)
	}
	check(t, nested.removeAll("/stack/web"))
	check(t, g.Delete())
}

// Linux before 5.14 has no cgroup.kill.
func TestKillWithoutCgroupKill(t *testing.T) {
	needV2(t)
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](20)}})
	mustStart(t, g, "sh", "-c", "b() { b & b & wait; }; b 2>/dev/null")
	check(t, killFrozen(g.tree.(*v2), 10*time.Second))
	pids, err := g.Pids()
	check(t, err)
	if len(pids) > 0 {
		t.Errorf("%v survived", pids)
	}
	check(t, g.Delete())
}

func TestUnified(t *testing.T) {
	needV2(t)
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{Unified: map[string]string{
		"memory.high": "33554432", "cgroup.max.descendants": "3",
	}})
	if got := content(t, g, "memory", "memory.high"); got != "33554432" {
		t.Errorf("memory.high is %s", got)
	}
	if got := content(t, g, "unified", "cgroup.max.descendants"); got != "3" {
		t.Errorf("cgroup.max.descendants is %s", got)
	}
	check(t, g.Delete())
	if _, _, err := Create(p+"/x", &specs.LinuxResources{Unified: map[string]string{"nonsense.max": "1"}}); err == nil {
		t.Error("an unknown control is accepted")
	}
}

// An update of the processors that is refused leaves the old ones.
func TestRefusedCpusetUpdate(t *testing.T) {
	needV2(t)
	p := project(t)
	g := create(t, p+"/x", &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0"}})
	if g.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-7"}}) == nil {
		t.Error("eight processors are accepted on a machine of two")
	}
	if got := content(t, g, "cpuset", "cpuset.cpus"); got != "0" {
		t.Errorf("cpuset.cpus is %q", got)
	}
	check(t, g.Delete())
}
