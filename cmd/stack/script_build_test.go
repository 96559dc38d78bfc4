package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stack/cmd/internal/cmdtest"
	"stack/runtime/runtimetest"
)

// buildStackBuild makes the program that builds, for the scripts that need it: it
// takes long to link. Never with the race detector, which BuildKit would take
// minutes to compile with.
var buildStackBuild = sync.OnceValue(func() error {
	if os.Getenv("STACK_TEST_BIN") != "" {
		return nil
	}
	return cmdtest.Build(binDir, []string{"-trimpath"}, "stack/cmd/stack-build") // as make build: the compiler's cache has it
})

// baseImage NAME puts an image with busybox into the store, and sees that the build
// server ends with the script.
func baseImage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: base NAME")
	}
	if err := buildStackBuild(); err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Defer(func() { endServer(ts, syscall.SIGTERM) })
	archive, err := runtimetest.BusyboxTar()
	if err != nil {
		ts.Fatalf("%v", err)
	}
	name := ts.MkAbs("base.tar")
	ts.Check(os.WriteFile(name, archive, 0o600))
	defer os.Remove(name)
	ts.Check(ts.Exec("stack", "image", "import", name, args[0]))
}

// buildFrontend NAME makes BuildKit's own Dockerfile frontend, as an image of it has it.
func buildFrontend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: frontend DIRECTORY")
	}
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o755))
	ts.Check(cmdtest.Build(ts.MkAbs(args[0]), []string{"-trimpath"}, "github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend"))
}

// killServer ends the script's build server with kill -9.
func killServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: kill-build-server")
	}
	endServer(ts, syscall.SIGKILL)
}

// endServer waits until the server is gone and leaves its network to who comes next
// only if it was killed.
func endServer(ts *testscript.TestScript, sig syscall.Signal) {
	pid := serverPid(filepath.Join(ts.Getenv("STACK_ROOT"), "lib", "build"))
	if pid == 0 {
		return
	}
	syscall.Kill(pid, sig)
	for range 200 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); bytes.Contains(state, []byte(") Z ")) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("the build server %d does not end", pid)
}

// serverPid finds the server of a directory; 0 for none.
func serverPid(dir string) int {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00"); len(args) == 3 && args[1] == "serve" && args[2] == dir {
			return pid
		}
	}
	return 0
}
