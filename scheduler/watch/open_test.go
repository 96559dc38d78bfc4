package watch

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestHostileRules: what is no file in the place of one that says what to watch neither
// holds a watcher up nor fills its memory.
func TestHostileRules(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".git", ".gitignore"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, ".dockerignore")); err != nil {
		t.Fatal(err)
	}
	if _, err := DockerIgnore(dir); err == nil {
		t.Error("a device is read as rules")
	}
	w, err := New(Options{Roots: []Root{{Path: dir, Git: true}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	huge := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxRules+1); err != nil {
		t.Fatal(err)
	}
	if f, err := OpenRules(huge); err == nil {
		f.Close()
		t.Error("a huge file is read as rules")
	}
}
