package main

import (
	"errors"
	"strings"
	"testing"

	"stack/netns"
	"stack/runtime/native"
	"stack/runtime/native/cgroup"
	"stack/runtime/native/rootfs"
)

// healthy is the evidence of a machine that lacks nothing.
func healthy() evidence {
	return evidence{
		uid: 0, state: "/var/lib/stack",
		native: native.Facts{
			Kernel: "6.18.4", Host: &cgroup.Host{Mode: cgroup.V2}, IDMap: map[string]error{"/": nil, "/var/lib/stack": nil},
			Seccomp: true, SysResource: true, SysAdmin: true, MemfdNoexec: 0, InotifyInstances: 8192, InotifyWatches: 500000,
			Free: 50 << 30, Size: 100 << 30, Files: 1000, FreeFiles: 900,
		},
		network: netns.Facts{IPForward: true},
	}
}

func TestJudge(t *testing.T) {
	for _, f := range judge(healthy()) {
		if f.Status != statusOK && f.Check != "cgroups" { // a Host made here has no controllers
			t.Errorf("a healthy machine: %+v", f)
		}
	}
	broken := errors.New("operation not permitted")
	for _, c := range []struct {
		change func(*evidence)
		check  string
		status string
		words  string
	}{
		{func(e *evidence) { e.uid, e.args = 1000, []string{"stack", "doctor"} }, "user", statusFail, "sudo stack doctor"},
		{func(e *evidence) { e.shim = broken }, "stack-shim", statusFail, "one directory"},
		{func(e *evidence) { e.native.Kernel = "5.10.0-9-amd64" }, "kernel", statusFail, "5.12"},
		{func(e *evidence) { e.native.Kernel = "5.15.0" }, "kernel", statusWarn, "userns_mode: host"},
		{func(e *evidence) { e.native.CgroupErr = broken }, "cgroups", statusFail, "cgroup2"},
		{func(*evidence) {}, "cgroups", statusWarn, "without cpu, cpuset, memory, pids, io"},
		{func(e *evidence) { e.native.UserNS = broken }, "user namespaces", statusFail, "max_user_namespaces"},
		{func(e *evidence) { e.native.UserNS = broken }, "id-mapped mounts", statusWarn, "user namespaces"},
		{func(e *evidence) { e.native.IDMap["/"] = broken }, "id-mapped mounts", statusWarn, "not on /: operation"},
		{func(e *evidence) { e.native.Overlay = rootfs.ErrUnfit }, "overlay", statusWarn, "memory"},
		{func(e *evidence) { e.native.Overlay = broken }, "overlay", statusFail, "modprobe overlay"},
		{func(e *evidence) { e.native.Seccomp = false }, "seccomp", statusFail, "CONFIG_SECCOMP_FILTER"},
		{func(e *evidence) { e.native.MemfdNoexec = 2 }, "memfd", statusWarn, "memfd_noexec=2"},
		{func(e *evidence) { e.native.SysResource = false }, "CAP_SYS_RESOURCE", statusWarn, "ulimits"},
		{func(e *evidence) { e.network.Nftables = broken }, "nftables", statusFail, "modprobe nf_tables"},
		{func(e *evidence) { e.network.Bridge = broken }, "bridges", statusFail, "modprobe bridge"},
		{func(e *evidence) { e.network.IPForward = false }, "ip_forward", statusOK, "turns it on"},
		{func(e *evidence) { e.network.BridgeFilter = true }, "bridge-nf-call", statusOK, "on: "},
		{func(e *evidence) { e.network.Drops = []string{"filter/FORWARD (forward)"} }, "firewall", statusWarn, "filter/FORWARD (forward)"},
		{func(e *evidence) { e.network.DropsErr = broken }, "firewall", statusWarn, "not known"},
		{func(e *evidence) { e.native.InotifyInstances = 128 }, "inotify", statusWarn, "max_user_instances"},
		{func(e *evidence) { e.native.InotifyWatches = 8192 }, "inotify", statusWarn, "max_user_watches"},
		{func(e *evidence) { e.native.Free = 500 << 20 }, "disk", statusWarn, "prune"},
		{func(e *evidence) { e.native.Free = 1 << 20 }, "disk", statusFail, "prune"},
		{func(e *evidence) { e.native.FreeFiles = 1 }, "disk", statusWarn, "inodes"},
		{func(e *evidence) { e.native.FileSystemErr = broken }, "disk", statusFail, "cannot be looked at"},
	} {
		e := healthy()
		c.change(&e)
		found := false
		for _, f := range judge(e) {
			found = found || f.Check == c.check && f.Status == c.status && strings.Contains(f.Detail+" "+f.Hint, c.words)
		}
		if !found {
			t.Errorf("no %s of %s with %q in %+v", c.status, c.check, c.words, judge(e))
		}
	}
}
