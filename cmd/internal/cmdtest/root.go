package cmdtest

import (
	"os"
	"testing"
)

// NeedRoot skips a test that needs root, loudly; in CI that is a failure.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("STACK_TEST_STRICT") != "" {
		t.Fatal("needs root")
	}
	t.Skip("skipped: needs root")
}
