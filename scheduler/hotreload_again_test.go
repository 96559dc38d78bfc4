package scheduler

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWatchAgain: who ends a watch and begins one at once is not told that files are
// being watched already.
func TestWatchAgain(t *testing.T) {
	w := watchBench(t, strings.Replace(ruled, "RULES", "{path: DIR/src, target: /srv, action: sync}", 1), "web")
	if err := w.do(Command{Verb: VerbWatch}, nil); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second watch beside the first: %v", err)
	}
	if err := w.do(Command{Verb: VerbDown}, nil); err != nil {
		t.Fatal(err)
	}
	w.up(strings.Replace(ruled, "RULES", "{path: DIR/src, target: /srv, action: sync}", 1))
	for range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		err := w.c.Do(ctx, Command{Verb: VerbWatch}, func(r Reply) {
			if r.Reload != nil && r.Reload.Enabled {
				cancel()
			}
		})
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// TestFailedSync is told, does not count, and is tried again with the next.
func TestFailedSync(t *testing.T) {
	w := watchBench(t, strings.Replace(ruled, "RULES", "{path: DIR/src, target: /srv, action: sync}", 1), "web")
	root := w.roots.of(w.idOf("p-web-1"))
	in := filepath.Join(root, "srv")
	if err := errors.Join(os.MkdirAll(root, 0o755), os.WriteFile(in, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	w.write("src/a", "1")
	if line := next(t, w.lines); line.Files != 1 || line.Replicas != 0 || !strings.Contains(line.Error, "container p-web-1: cannot open /srv in the container") {
		t.Errorf("told %q", line)
	}
	if err := os.Remove(in); err != nil {
		t.Fatal(err)
	}
	w.write("src/b", "1")
	w.until("web: 1 file, synced to 1 replica")
	for _, name := range []string{"a", "b"} {
		if _, err := os.Stat(filepath.Join(in, name)); err != nil {
			t.Error(err)
		}
	}
}

func (w *watching) idOf(name string) string { return w.instances()[name].ID }
