package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// `stack oci` is the lean binary's, whatever name it is called by, and without the
// initialisation of this one's packages.
func TestOCIEntry(t *testing.T) {
	stack := filepath.Join(binDir, "stack")
	link := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(stack, link); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{stack, link} {
		cmd := exec.Command(program, "oci", "--version")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "spec: 1.") {
			t.Errorf("%s: %v: %s", program, err, out)
		}
		if os.Getenv("STACK_TEST_RACE") == "" && strings.Contains(string(out), "init github.com/compose-spec") {
			t.Errorf("%s initialised everything first", program)
		}
	}
	// Without its companion it goes on, to say so.
	alone := filepath.Join(t.TempDir(), "stack")
	if err := os.Link(stack, alone); err != nil {
		t.Skip("no hard link from " + binDir + ": " + err.Error())
	}
	out, err := exec.Command(alone, "oci", "list").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "must lie beside stack") {
		t.Errorf("alone: %v: %s", err, out)
	}
	// Words that only begin so are not taken for it.
	for _, args := range [][]string{{"ocix"}, {"oc"}, {"version", "oci"}} {
		if out, _ := exec.Command(stack, args...).CombinedOutput(); strings.Contains(string(out), "spec: 1.") || strings.Contains(string(out), "usage: stack oci") {
			t.Errorf("%v: %s", args, out)
		}
	}
}
