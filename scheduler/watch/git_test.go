package watch

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// git runs it in a directory.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@x"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// TestGitCheckout: what git changes is one batch, in a repository and in a further
// worktree of it; or a few, when the machine stalls before git or after it.
func TestGitCheckout(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		skip(t, "skipped: git is not installed")
	}
	dir := t.TempDir()
	repo, tree := filepath.Join(dir, "repo"), filepath.Join(dir, "tree")
	fill := func(text string) {
		for n := range 1000 {
			name := filepath.Join(repo, fmt.Sprintf("d%d/f%d", n/20, n))
			must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
		}
		git(t, repo, "add", "-A")
		git(t, repo, "commit", "-qm", text)
	}
	must(t, os.Mkdir(repo, 0o755))
	git(t, repo, "init", "-q")
	fill("one")
	git(t, repo, "tag", "one")
	fill("two")
	git(t, repo, "worktree", "add", "-q", tree, "HEAD")
	for _, at := range []string{repo, tree} {
		w := start(t, at, Options{})
		git(t, at, "checkout", "-q", "one")
		told, batches := map[string]bool{}, 0
		for ; len(told) < 1000; batches++ {
			for _, c := range w.next().Changes {
				told[c.Path] = true
			}
		}
		if batches > 1000/burst {
			t.Errorf("%s: %d batches", filepath.Base(at), batches)
		}
	}
}

// TestLocked: a burst waits for who holds the lock, a single save does not.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, ".git/index.lock")
	must(t, os.MkdirAll(filepath.Dir(lock), 0o755), os.WriteFile(lock, nil, 0o644))
	w := start(t, dir, Options{})
	w.write("single", "x")
	w.until("+single")
	for n := range 2 * burst {
		w.write(fmt.Sprint("f", n), "x")
	}
	told := map[string]bool{}
	take := func(b Batch) {
		for _, c := range b.Changes {
			told[c.Path] = true
		}
	}
	for late := time.After(5 * quietBurst); late != nil; {
		select {
		case b := <-w.w.C: // the first saves, when the machine stalls before they are a burst
			if take(b); len(b.Changes) > burst {
				t.Fatalf("a batch of %d while the lock stands", len(b.Changes))
			}
		case <-late:
			late = nil
		}
	}
	w.write("late", "x")
	must(t, os.Remove(lock))
	delete(told, "single")
	for len(told) < 2*burst+1 {
		take(w.next())
	}
}
