package runtimetest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// suite is one run.
type suite struct {
	runtime runtime.Runtime
	rootfs  string
	group   string
	leave   func(name string) (reason string)
}

// check runs one case, unless it is left out.
func (s *suite) check(t *testing.T, name string, f func(*testing.T)) {
	if reason := s.leave(s.group + "/" + name); reason != "" {
		t.Logf("left out: %s/%s: %s", s.group, name, reason)
		return
	}
	t.Run(name, f)
}

// Run checks the runtime that make returns; each group of cases gets its own.
// rootfs is a directory as Busybox makes it.
func Run(t *testing.T, make func(t *testing.T) runtime.Runtime, rootfs string) {
	RunBut(t, make, rootfs, func(string) string { return "" })
}

// RunBut is Run for a runtime that cannot keep the whole contract: leave tells why a
// case ("group/case") does not hold, or "".
func RunBut(t *testing.T, make func(t *testing.T) runtime.Runtime, rootfs string, leave func(name string) string) {
	if os.Getuid() != 0 {
		Skip(t, "containers need root")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, group := range []struct {
		name  string
		cases func(*suite, *testing.T)
	}{
		{"lifecycle", (*suite).lifecycle},
		{"failure", (*suite).failure},
		{"process", (*suite).process},
		{"isolation", (*suite).isolation},
		{"sharing", (*suite).sharing},
		{"exec", (*suite).exec},
		{"init", (*suite).init},
		{"limits", (*suite).limits},
	} {
		t.Run(group.name, func(t *testing.T) {
			group.cases(&suite{runtime: make(t), rootfs: rootfs, group: group.name, leave: leave}, t)
		})
	}
}
