package vm

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// TestForeignIDs: an ID is a directory's name, and no way to one that is not ours.
func TestForeignIDs(t *testing.T) {
	dir := t.TempDir()
	r := New(Options{Root: filepath.Join(dir, "machines")}) // it is not asked
	if err := os.MkdirAll(r.o.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"", ".", "..", "../machines", "a/b"} {
		b := runtime.Bundle{ID: id, Spec: &specs.Spec{Annotations: map[string]string{Annotation: "vm"}}}
		if _, err := r.Create(context.Background(), b); err == nil {
			t.Errorf("created %q", id)
		}
		if err := r.Delete(context.Background(), id, true); err == nil {
			t.Errorf("deleted %q", id)
		}
		if _, err := os.Stat(r.o.Root); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
	}
}
