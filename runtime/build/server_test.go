package build_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime/build"
)

// buildProgram makes stack-build as make build does; with the race detector, if this
// test has it.
func buildProgram(t *testing.T, dir string) string {
	t.Helper()
	if bin := os.Getenv("STACK_TEST_BIN"); bin != "" {
		return filepath.Join(bin, build.Program)
	}
	name := filepath.Join(dir, build.Program)
	cmd := exec.Command("go", "build", "-trimpath", fmt.Sprintf("-race=%t", raceEnabled), "-o", name, "stack/cmd/"+build.Program)
	if !raceEnabled { // the detector is C's
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", build.Program, err, out)
	}
	return name
}

// serve runs the build server until the test ends: jobs find it where they would
// start one. What it says is a fault: these builds give no reason to.
func (s *suite) serve(t *testing.T) {
	t.Helper()
	config, err := json.Marshal(s.machine)
	if err != nil {
		t.Fatal(err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	var said bytes.Buffer
	cmd := exec.Command(s.program, "serve", build.Dir(s.machine))
	cmd.Env = s.env
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(config), &said, []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	err = cmd.Start()
	tell.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || said.Len() > 0 {
			t.Errorf("the build server: %v\n%s", err, said.Bytes())
		}
	})
	if answer, err := io.ReadAll(ready); err != nil || string(answer) != "ok" {
		t.Fatalf("the build server does not start: %s %v", answer, err)
	}
}
