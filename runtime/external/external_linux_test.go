package external

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/external/parent"
	"stack/runtime/native"
	"stack/runtime/native/metrics"
	"stack/runtime/runtimetest"
)

// parentWord makes the test's executable a parent.
const parentWord = "external-parent"

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == parentWord:
		os.Exit(parent.Main(os.Args[2:]))
	case len(os.Args) > 2 && os.Args[1] == creatorWord:
		os.Exit(createAndStart(os.Args[2]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each parent ends a second late
	os.Exit(m.Run())
}

func newRuntime(t testing.TB, program string) *Runtime {
	t.Helper()
	r, err := runtimeAt(filepath.Join(t.TempDir(), "run"), program)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func runtimeAt(root, program string) (*Runtime, error) {
	self, err := os.Executable()
	return New(Options{
		Root: root, Program: program, Parent: []string{self, parentWord},
		Host: &native.Foreign{ReadStats: metrics.Read},
	}), err
}

func TestConformance(t *testing.T) {
	root := runtimetest.Busybox(t)
	for _, program := range []string{"runc", "crun"} {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				runtimetest.Skip(t, program+" is missing (Debian package "+program+")")
			}
			if program == "runc" && testing.Short() {
				t.Skip("takes a minute, in the QEMU guest several: run without -short")
			}
			if program == "crun" && hybrid(t) {
				onVersion1(t)
				return
			}
			runtimetest.Run(t, func(t *testing.T) runtime.Runtime { return newRuntime(t, program) }, root)
		})
	}
}

const unified = "/sys/fs/cgroup/unified"

// hybrid says whether cgroup v2 lies beside v1, which crun refuses.
func hybrid(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), " "+unified+" ")
}

// onVersion1 runs the test in a mount namespace of its own, without v2. make test-v2
// runs it on v2.
func onVersion1(t *testing.T) {
	t.Helper()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
		"umount -l "+unified+` && exec "$@"`, "sh", os.Args[0], "-test.run", "^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+"/lifecycle") {
		t.Fatalf("without %s: %v\n%s", unified, err, out)
	}
}

// gVisor runs programs too, in a sandbox of its own: codes, output, exec, freezing,
// and nothing left. Debian's version makes no user namespace as ours, and takes every
// network namespace of newer kernels for the host's: it is told to have none.
func TestRunsc(t *testing.T) {
	if testing.Short() {
		t.Skip("gVisor is slow in the QEMU guest: run without -short")
	}
	if os.Getuid() != 0 {
		runtimetest.Skip(t, "containers need root")
	}
	runsc, err := exec.LookPath("runsc")
	if err != nil {
		runtimetest.Skip(t, "runsc is missing (Debian package runsc)")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	wrapper := filepath.Join(t.TempDir(), "runsc-alone")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\nexec "+runsc+" --network=none \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, ctx := newRuntime(t, wrapper), t.Context()
	spec := runtimetest.Spec(runtimetest.Busybox(t), "sh", "-c", "dmesg | head -1; cat /note; read x; exit $x")
	runtimetest.HostUser(spec)
	spec.Linux.CgroupsPath = "/stack/conformance/runsc"
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, said, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	made, err := r.Create(ctx, runtime.Bundle{
		ID: "runsc", Spec: spec, Stdin: in, Stdout: said, Stderr: said,
		Files: []runtime.File{{Target: "/note", Content: []byte("kept in memory\n"), Mode: 0o444}},
	})
	in.Close()
	said.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Delete(context.Background(), "runsc", true)
	defer made.PidFD.Close()
	expectState(t, r, runtime.StatusCreated)
	if err := r.Start(ctx, "runsc"); err != nil {
		t.Fatal(err)
	}
	expectState(t, r, runtime.Running)
	p, err := r.Exec(ctx, "runsc", runtime.Exec{Process: runtimetest.Spec("", "sh", "-c", "exit 6").Process})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := p.Wait(); err != nil || exit.Code != 6 {
		t.Errorf("exec: got %+v, %v", exit, err)
	}
	var step *runtime.StepError
	if _, err := r.Exec(ctx, "runsc", runtime.Exec{Process: runtimetest.Spec("", "nothing").Process}); !errors.As(err, &step) || step.ExitCode() != 127 {
		t.Errorf("exec of nothing: %v", err)
	}
	if _, err := w.WriteString("5\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var status unix.WaitStatus
	if _, err := unix.Wait4(made.Pid, &status, 0, nil); err != nil || status.ExitStatus() != 5 {
		t.Errorf("got status %#x, %v", status, err)
	}
	expectState(t, r, runtime.Stopped)
	if err := r.Delete(ctx, "runsc", false); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(out)
	if err != nil || !strings.Contains(string(text), "gVisor") || !strings.Contains(string(text), "kept in memory") {
		t.Errorf("got %q, %v", text, err)
	}
	if left := strays(t); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}

func expectState(t *testing.T, r *Runtime, want runtime.Status) {
	t.Helper()
	if s, err := r.State(t.Context(), "runsc"); err != nil || s.Status != want {
		t.Errorf("state %q, %v, want %s", s.Status, err, want)
	}
}
