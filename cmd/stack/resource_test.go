package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"stack/cmd/internal/cmdtest"
)

// TestScriptsWithoutResource runs chosen scripts as a root that may not raise hard
// limits. Where that is so anyway TestScript has done it.
func TestScriptsWithoutResource(t *testing.T) {
	cmdtest.NeedRoot(t)
	held, err := hasResource()
	if err != nil {
		t.Fatal(err)
	}
	if !held {
		t.Log("CAP_SYS_RESOURCE is not held: all scripts run without it")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource",
		self, "-test.run=^TestScript$/^(hello|limits|ulimits)$", "-test.v")
	cmd.Env = append(os.Environ(), "STACK_TEST_BIN="+binDir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !regexp.MustCompile(`--- PASS: TestScript/ulimits`).Match(out) {
		t.Errorf("nothing ran:\n%s", out)
	}
}

// hasResource reads the effective capabilities.
func hasResource() (bool, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false, err
	}
	m := regexp.MustCompile(`CapEff:\s*([0-9a-f]+)`).FindSubmatch(b)
	if m == nil {
		return false, fmt.Errorf("/proc/self/status tells no capabilities")
	}
	caps, err := strconv.ParseUint(string(m[1]), 16, 64)
	const resource = 24
	return caps&(1<<resource) != 0, err
}
