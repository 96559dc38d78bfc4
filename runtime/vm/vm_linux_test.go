package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"stack/runtime"
	"stack/runtime/native"
	"stack/runtime/native/metrics"
	"stack/runtime/runtimetest"
)

// testKernel is the one that .ci/deps fetches for this and the cgroup v2 guest.
func testKernel(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../.cache/v2/vmlinuz")
	if env := os.Getenv("STACK_TEST_KERNEL"); env != "" {
		path = env
	}
	if err != nil || !exists(path) {
		runtimetest.Skip(t, "no kernel for machines at "+path+" (make deps)")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		runtimetest.Skip(t, "qemu-system-x86_64 is missing (Debian package qemu-system-x86)")
	}
	return path
}

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
	testKernel(t)
	shim, err := shimOnce()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return New(Options{
		Root: filepath.Join(dir, "machines"), Home: testHome(t), Shim: shim,
		Containers: native.New(native.Options{Root: filepath.Join(dir, "run"), Stats: metrics.Read}),
	})
}

// testHome is one for all tests: what is unpacked there stays the same.
func testHome(t testing.TB) string {
	dir := filepath.Join(filepath.Dir(testKernel(t)), "vm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asMachine is a runtime whose every container is a machine.
type asMachine struct {
	*Runtime
	kernel string
}

func (a asMachine) Create(ctx context.Context, b runtime.Bundle) (runtime.Created, error) {
	if b.Spec.Annotations == nil {
		b.Spec.Annotations = map[string]string{}
	}
	b.Spec.Annotations[Annotation], b.Spec.Annotations[KernelAnnotation] = "vm", a.kernel
	return a.Runtime.Create(ctx, b)
}

func TestConformance(t *testing.T) {
	root := runtimetest.Busybox(t)
	runtimetest.Run(t, func(t *testing.T) runtime.Runtime { return asMachine{newRuntime(t), testKernel(t)} }, root)
}
