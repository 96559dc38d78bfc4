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

func TestDiskCounters(t *testing.T) {
	read, written := diskBytes("8:0 Read 10\n8:0 Write 5\n8:0 Sync 15\n8:16 Read 1\nTotal 16\n")
	if read != 11 || written != 5 {
		t.Errorf("v1: %d, %d", read, written)
	}
	read, written = deviceBytes("8:0 rbytes=10 wbytes=5 rios=1 wios=1 dbytes=0\n8:16 rbytes=1 wbytes=0\n")
	if read != 11 || written != 5 {
		t.Errorf("v2: %d, %d", read, written)
	}
}
