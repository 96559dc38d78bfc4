package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stack/cmd/internal/cmdtest"
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
	archive, err := busyboxTree()
	if err != nil {
		ts.Fatalf("%v", err)
	}
	name := ts.MkAbs("base.tar")
	ts.Check(os.WriteFile(name, archive, 0o600))
	defer os.Remove(name)
	ts.Check(ts.Exec("stack", "image", "import", name, args[0]))
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

// busyboxTree is a root file system of busybox alone.
func busyboxTree() ([]byte, error) {
	program, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("busybox is needed; .ci/deps installs it: %w", err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	names, err := exec.Command(program, "--list").Output()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, dir := range []string{"bin", "etc", "home", "root", "tmp", "usr"} {
		mode := int64(0o755)
		if dir == "tmp" {
			mode = 0o1777
		}
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: mode})
	}
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(data))})
	w.Write(data)
	for name := range strings.Lines(string(names)) {
		if name = strings.TrimSpace(name); name != "busybox" {
			w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox"})
		}
	}
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n",
		"etc/group":  "root:x:0:\napp:x:1001:\nextra:x:2000:app\n",
	} {
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))})
		w.Write([]byte(text))
	}
	return out.Bytes(), w.Close()
}
