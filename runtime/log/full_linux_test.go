package log

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// needRoot skips without root, or fails where skips are not accepted.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal("needs root to mount a tmpfs")
	}
	t.Skip("needs root to mount a tmpfs")
}

func TestFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 56<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.log")
	w := newWriter(t, path, Options{})
	out := w.Stream("stdout")
	const lines = 200
	for i := range lines {
		fmt.Fprintf(out, "line %d %s\n", i, strings.Repeat("z", 100))
	}
	lost := w.Lost()
	if lost.Lines == 0 || lost.Lines >= lines {
		t.Fatalf("lost %+v of %d lines", lost, lines)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(out, "back")
	es := all(t, path, ReadOptions{})
	text := joined(es, "stderr")
	if want := fmt.Sprintf("stack: %d log lines", lost.Lines); !strings.Contains(text, want) ||
		!strings.Contains(text, "no space left") {
		t.Fatalf("note is %q, want %q", text, want)
	}
	last := es[len(es)-1]
	if last.Text != "back" || w.Lost() != (Lost{}) {
		t.Fatalf("%+v, %+v", last, w.Lost())
	}
	// What was kept plus what was told lost is what was written.
	whole := 0
	for _, e := range es {
		if strings.HasPrefix(e.Text, "line ") && strings.HasSuffix(e.Text, strings.Repeat("z", 100)) {
			whole++
		}
	}
	if whole+int(lost.Lines) != lines {
		t.Fatalf("%d whole lines and %d lost of %d", whole, lost.Lines, lines)
	}
}
