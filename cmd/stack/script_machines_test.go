package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stack/runtime/vm/vmtest"
)

// haveMachines is the condition of scripts that run virtual machines.
func haveMachines(t *testing.T) (bool, error) {
	reason := vmtest.Missing(repoDir(t))
	if reason != "" && os.Getenv("STACK_TEST_STRICT") != "" {
		return false, errors.New(reason)
	}
	return reason == "", nil
}

// machines lets a script run virtual machines: it has Debian's kernel, and no other
// test runs any meanwhile.
func machines(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: machines")
		}
		ts.Defer(vmtest.Alone(t, ts.Getenv("REPO")))
		vmtest.Home(t, ts.Getenv("REPO"), filepath.Join(ts.Getenv("STACK_ROOT"), "lib", "vm"))
	}
}
