package external

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
