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
}

// Run checks the runtime that make returns; each group of cases gets its own.
// rootfs is a directory as Busybox makes it.
func Run(t *testing.T, make func(t *testing.T) runtime.Runtime, rootfs string) {
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
			group.cases(&suite{make(t), rootfs}, t)
		})
	}
}
