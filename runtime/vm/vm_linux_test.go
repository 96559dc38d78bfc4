package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"stack/runtime"
	"stack/runtime/native"
	"stack/runtime/native/metrics"
	"stack/runtime/runtimetest"
	"stack/runtime/vm/vmtest"
)

const repo = "../.."

var shimOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stack-vm-test-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+"/", "stack/cmd/stack-shim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return filepath.Join(dir, "stack-shim"), cmd.Run()
})

func newRuntime(t testing.TB) *Runtime {
	t.Helper()
	if os.Getuid() != 0 {
		runtimetest.Skip(t, "machines need root")
	}
	shim, err := shimOnce()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vmtest.Alone(t, repo))
	dir := t.TempDir()
	vmtest.Home(t, repo, filepath.Join(dir, "vm"))
	return New(Options{
		Root: filepath.Join(dir, "machines"), Home: filepath.Join(dir, "vm"), Shim: shim,
		Containers: native.New(native.Options{Root: filepath.Join(dir, "run"), Stats: metrics.Read}),
	})
}

// asMachine is a runtime whose every container is a machine.
type asMachine struct{ *Runtime }

func (a asMachine) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	if b.Spec.Annotations == nil {
		b.Spec.Annotations = map[string]string{}
	}
	b.Spec.Annotations[Annotation] = "vm"
	return a.Runtime.Create(ctx, b)
}

// TestConformance runs what a few boots of a machine show; with STACK_TEST_VM_SUITE=all
// every case that a machine can keep.
func TestConformance(t *testing.T) {
	all := os.Getenv("STACK_TEST_VM_SUITE") == "all"
	quick := []string{"lifecycle/states", "lifecycle/kill", "process/terminal", "exec/failures", "exec/terminal", "init/orphans"}
	leave := func(name string) string {
		switch reason, no := differences()[name]; {
		case no:
			return reason
		case !all && !slices.Contains(quick, name):
			return "a boot for each takes too long (STACK_TEST_VM_SUITE=all)"
		}
		return ""
	}
	root := runtimetest.Busybox(t)
	runtimetest.RunBut(t, func(t *testing.T) runtime.Runtime { return asMachine{newRuntime(t)} }, root, leave)
}

// differences are the cases of the contract that a machine does not keep; package doc
// says the same.
func differences() map[string]string {
	const (
		late   = "the guest's runtime refuses it, at start: until then only the hypervisor exists"
		own    = "the setting is of the guest's kernel, which is the machine's own"
		joined = "a machine shares no namespaces"
	)
	return map[string]string{
		"lifecycle/hooks of the caller":   "a root that is a plain directory, and read-only, gets no mount points",
		"lifecycle/kill all":              "a signal to all, but for SIGKILL, reaches the program alone",
		"sharing/with the user namespace": joined,
		"sharing/without user namespaces": joined,
		"sharing/pid namespace":           joined,
		"sharing/host namespaces":         joined,
		"exec/inside":                     "the namespaces that the host sees are the hypervisor's",
		"exec/descriptors":                "no descriptor of the host reaches the guest",
		"limits/memory":                   "no machine has so little memory",
		"limits/update":                   "only the share of processors changes",
		"process/rlimits":                 late,
		"process/null":                    "without a descriptor of the host there is still a pipe in the guest",
		"process/sysctl":                  own,
	}
}
