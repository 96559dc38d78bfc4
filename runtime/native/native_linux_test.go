package native

import (
	"path/filepath"
	"testing"

	"stack/runtime"
	"stack/runtime/native/metrics"
	"stack/runtime/runtimetest"
)

func newRuntime(t testing.TB) *Runtime {
	return New(Options{Root: filepath.Join(t.TempDir(), "run"), Stats: metrics.Read})
}

func TestConformance(t *testing.T) {
	root := runtimetest.Busybox(t)
	runtimetest.Run(t, func(t *testing.T) runtime.Runtime { return newRuntime(t) }, root)
}
