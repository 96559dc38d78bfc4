package cgroup

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The filter of version 2 works in the unified tree of a hybrid machine, too, so
// that it is tested on either; TestDevices has the cases.
func TestDeviceFilterInUnifiedTree(t *testing.T) {
	h := needHost(t)
	mount := h.unified
	if h.Mode == V2 {
		mount = h.trees[0].mount
	}
	if mount == "" {
		t.Skip("no unified tree is mounted here")
	}
	g := &v2{root: &hierarchy{mount: mount}, path: "/stack-devices"}
	check(t, os.Mkdir(g.at(), 0o755))
	defer func() { check(t, os.Remove(g.at())) }()
	run := func(script string) error {
		dir, err := os.Open(g.at())
		check(t, err)
		defer dir.Close()
		cmd := exec.Command("sh", "-c", script)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		return cmd.Run()
	}
	set := func(fresh bool, list ...specs.LinuxDeviceCgroup) {
		t.Helper()
		rules, err := deviceRules(list)
		check(t, err)
		check(t, g.setDevices(rules, fresh))
	}
	denyAll := specs.LinuxDeviceCgroup{Access: "rwm"}
	set(true, denyAll, allow("c", nullMajor, nullMinor, "rwm"), allow("c", nullMajor, zeroMinor, "r"))
	for script, granted := range map[string]bool{bothNull: true, readZero: true, "exec 3> /dev/zero": false, makeLoop: false} {
		if err := run(script); (err == nil) != granted {
			t.Errorf("%q: %v", script, err)
		}
	}
	set(false, denyAll, allow("c", nullMajor, nullMinor, "rwm"))
	if run(readZero) == nil {
		t.Error("denied by the second filter, yet read")
	}
	dir, err := os.Open(g.at())
	check(t, err)
	defer dir.Close()
	if ids, err := devicePrograms(int(dir.Fd())); err != nil || len(ids) != 1 {
		t.Errorf("programs: %v, %v", ids, err)
	}
}

// What the verifier says is in the error.
func TestDeviceProgramRefused(t *testing.T) {
	needHost(t)
	_, err := loadDeviceProgram([]instruction{{code: opMove, registers: 0 | 7<<4}, {code: opExit}})
	if err == nil || !strings.Contains(err.Error(), "R7") {
		t.Errorf("got %v", err)
	}
}
