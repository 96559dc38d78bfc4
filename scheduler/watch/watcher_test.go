package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// watched is a directory under watch.
type watched struct {
	t      *testing.T
	dir    string
	w      *Watcher
	before map[string]bool // what the until before wanted
}

func start(t *testing.T, dir string, o Options) *watched {
	t.Helper()
	w := still(t, dir, o)
	w.run()
	return w
}

// still is a watcher that is not run yet: what happens until then waits in its queue.
func still(t *testing.T, dir string, o Options) *watched {
	t.Helper()
	if len(o.Roots) == 0 {
		o.Roots = []Root{{Path: dir}}
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &watched{t, dir, w, map[string]bool{}}
}

func (w *watched) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { w.w.Run(ctx); close(done) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

// next is the next batch.
func (w *watched) next() Batch {
	w.t.Helper()
	select {
	case b := <-w.w.C:
		return b
	case <-time.After(20 * time.Second):
		w.t.Fatal("nothing was told")
		return Batch{}
	}
}

// until takes batches until the changes in them are those wanted: "+name" is there,
// "-name" is gone; of several roots "1+name". A busy machine may stall in the middle
// of a save, which is then told in parts: so what came and went is nothing, and what
// was wanted before may be told once more.
func (w *watched) until(want ...string) {
	w.t.Helper()
	got := map[string]bool{}
	came := map[string]bool{}
	for !containsAll(got, want) {
		for _, c := range w.next().Changes {
			if c.Passed {
				continue
			}
			root := ""
			if len(w.w.trees) > 1 {
				root = fmt.Sprint(c.Root)
			}
			there, gone := root+"+"+c.Path, root+"-"+c.Path
			delete(got, there)
			delete(got, gone)
			switch {
			case !c.Removed:
				got[there], came[there] = true, true
			case !came[there] || w.before[there] || slices.Contains(want, gone):
				got[gone] = true
			}
		}
	}
	for _, c := range want {
		delete(got, c)
	}
	for c := range w.before {
		delete(got, c)
	}
	if len(got) > 0 {
		w.t.Fatalf("got %v more than %v", got, want)
	}
	clear(w.before)
	for _, c := range want {
		w.before[c] = true
	}
}

func containsAll(got map[string]bool, want []string) bool {
	return !slices.ContainsFunc(want, func(c string) bool { return !got[c] })
}

func (w *watched) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watched) write(name, content string) {
	w.t.Helper()
	must(w.t, os.MkdirAll(filepath.Dir(w.path(name)), 0o755), os.WriteFile(w.path(name), []byte(content), 0o644))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTruncatedFileIsNotToldEmpty: not until its writer had the time to fill it.
func TestTruncatedFileIsNotToldEmpty(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("old"), 0o644))
	w := start(t, dir, Options{})
	truncated := time.Now()
	must(t, os.Truncate(w.path("f"), 0))
	b := w.next()
	if waited := time.Since(truncated); waited < refill {
		t.Errorf("the empty file was told after %v: %v", waited, b)
	}
}

func TestFolders(t *testing.T) {
	folders(t, Options{})
}

// TestFoldersOfTwo watchers that share an instance, each at its own pace.
func TestFoldersOfTwo(t *testing.T) {
	both := new(Instance)
	t.Run("", func(t *testing.T) {
		folders(t, Options{Instance: both})
	})
	if both.events != nil {
		t.Error("the instance is open without a listener")
	}
}

func folders(t *testing.T, o Options) {
	dir := t.TempDir()
	w := start(t, dir, o)
	if o.Instance != nil {
		other := still(t, dir, o)
		other.run()
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			for last := false; !last; {
				select {
				case b := <-other.w.C:
					last = slices.Contains(b.Changes, Change{Path: "last"})
				case <-time.After(20 * time.Second):
					t.Error("the other was not told the last change")
					return
				}
			}
		}()
		defer w.write("last", "")
	}
	w.write("a/b/c/file", "x")
	w.until("+a", "+a/b", "+a/b/c", "+a/b/c/file")
	must(t, os.Rename(w.path("a/b"), w.path("a/z")))
	w.until("-a/b", "-a/b/c", "-a/b/c/file", "+a/z", "+a/z/c", "+a/z/c/file")
	w.write("a/z/c/file", "y") // the watches moved along
	w.until("+a/z/c/file")
	must(t, os.Rename(w.path("a/z"), w.path("q")))
	w.until("-a/z", "-a/z/c", "-a/z/c/file", "+q", "+q/c", "+q/c/file")
	w.write("q/c/late", "y")
	w.until("+q/c/late")
	outside := t.TempDir()
	must(t, os.Rename(w.path("q"), filepath.Join(outside, "q")))
	w.until("-q", "-q/c", "-q/c/file", "-q/c/late")
	must(t, os.WriteFile(filepath.Join(outside, "q/c/unseen"), nil, 0o644))
	w.write("end", "")
	w.until("+end")
	must(t, os.Rename(filepath.Join(outside, "q"), w.path("back")))
	w.until("+back", "+back/c", "+back/c/file", "+back/c/late", "+back/c/unseen")
	must(t, os.RemoveAll(w.path("back")))
	w.until("-back", "-back/c", "-back/c/file", "-back/c/late", "-back/c/unseen")
}

func TestKindsChange(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir, Options{})
	w.write("x", "file")
	w.until("+x")
	must(t, os.Remove(w.path("x")))
	w.write("x/inside", "now a directory")
	w.until("+x", "+x/inside")
	must(t, os.RemoveAll(w.path("x")), os.Symlink("/etc", w.path("x")))
	w.until("-x/inside", "+x") // and nothing of /etc
	must(t, os.Remove(w.path("x")), os.Symlink("nowhere", w.path("x")))
	w.until("+x")
	must(t, os.Remove(w.path("x")))
	w.until("-x")
}

// TestCheckout: a thousand files are one batch, or a few when the machine stalls.
func TestCheckout(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir, Options{})
	for n := range 1000 {
		w.write(fmt.Sprintf("d%d/f%d", n%40, n), "x")
	}
	var sizes []int
	told := map[string]bool{}
	for len(told) < 1040 {
		b := w.next()
		sizes = append(sizes, len(b.Changes))
		for _, c := range b.Changes {
			told[c.Path] = true
		}
	}
	if len(sizes) > 1040/burst {
		t.Errorf("%d batches: %v", len(sizes), sizes)
	}
}

// TestChangesAddUp while nobody takes them.
func TestChangesAddUp(t *testing.T) {
	w := still(t, t.TempDir(), Options{})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := range 5 {
		w.write(fmt.Sprint("f", n), "x")
		for told := false; !told || len(w.w.pending) <= n; { // every step of Run, with none to take
			var batch Batch
			batch, told = w.w.batch(time.Now())
			w.w.arm(timer, told)
			if !told || len(w.w.pending) <= n {
				must(t, w.w.step(t.Context(), timer, batch, told))
			}
		}
	}
	w.run()
	if b := w.next(); len(b.Changes) != 5 {
		t.Errorf("the batch is %v", b)
	}
}

func TestRootIsAFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "conf"), []byte("old"), 0o644))
	w := start(t, dir, Options{Roots: []Root{{Path: filepath.Join(dir, "conf")}}})
	w.write("other", "x")
	w.write("new", "x")
	must(t, os.Rename(w.path("new"), w.path("conf")))
	w.until("+conf")
	must(t, os.Remove(w.path("conf")))
	w.until("-conf")
	w.write("conf", "again")
	w.until("+conf")
}

// TestRootGoes and comes back: what is missing then is gone, and not before.
func TestRootGoes(t *testing.T) {
	up := t.TempDir()
	dir := filepath.Join(up, "src")
	must(t, os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "a"), nil, 0o644), os.WriteFile(filepath.Join(dir, "b"), nil, 0o644))
	w := start(t, dir, Options{})
	must(t, os.Rename(dir, filepath.Join(up, "away")))
	select {
	case b := <-w.w.C:
		t.Fatalf("told %v", b)
	case <-time.After(10 * quiet):
	}
	must(t, os.Mkdir(filepath.Join(up, "next"), 0o755), os.WriteFile(filepath.Join(up, "next/b"), []byte("other"), 0o644), os.Rename(filepath.Join(up, "next"), dir))
	w.until("-a", "+b")
	w.write("c", "")
	w.until("+c")
}

func TestSeveralRoots(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "web/static"), 0o755))
	w := start(t, dir, Options{Roots: []Root{
		{Path: filepath.Join(dir, "web"), Ignore: []Patterns{{Dir: filepath.Join(dir, "web"), Lines: []string{"static"}}}},
		{Path: filepath.Join(dir, "web/static")},
		{Path: dir, Include: []string{"**/*.go"}},
	}})
	w.write("web/static/logo", "x")
	w.until("1+logo")
	w.write("web/main.go", "x")
	w.until("0+main.go", "2+web/main.go")
	must(t, os.Rename(w.path("web/static"), w.path("web/moved")))
	w.until("0+moved", "0+moved/logo")
	w.write("web/moved/late.go", "x") // watched under its new name by those who want it
	w.until("0+moved/late.go", "2+web/moved/late.go")
}

// TestLargeTree: ignored folders cost nothing.
func TestLargeTree(t *testing.T) {
	dir := t.TempDir()
	for n := range 200 {
		for _, top := range []string{"node_modules", "src"} {
			d := filepath.Join(dir, top, fmt.Sprint("d", n))
			must(t, os.MkdirAll(d, 0o755))
			for f := range 25 {
				must(t, os.WriteFile(filepath.Join(d, fmt.Sprint("f", f)), nil, 0o644))
			}
		}
	}
	w := start(t, dir, Options{Roots: []Root{{Path: dir, Ignore: []Patterns{{Dir: dir, Lines: []string{"node_modules"}}}}}})
	watches := 0
	for _, path := range w.w.events.instance.events.WatchList() {
		if strings.Contains(path, "node_modules") {
			t.Fatalf("%s is watched", path)
		}
		watches++
	}
	if watches != 203 { // src's, src, the root, and what holds it
		t.Errorf("%d watches", watches)
	}
	must(t, os.MkdirAll(w.path("node_modules/new/deep"), 0o755))
	w.write("node_modules/d1/f1", "changed")
	w.write("src/d199/f24", "changed")
	w.until("+src/d199/f24")
	if n := len(w.w.Files(0)); n != 200*25+201 {
		t.Errorf("%d files", n)
	}
}

func TestPoll(t *testing.T) {
	dir := t.TempDir()
	warned := ""
	w := start(t, dir, Options{Poll: true, Warn: func(s string) { warned = s }})
	if !w.w.Polls() || warned != "" {
		t.Errorf("polls: %v; warned: %q", w.w.Polls(), warned)
	}
	w.write("a/b", "x")
	w.until("+a", "+a/b")
	must(t, os.Rename(w.path("a"), w.path("c")))
	w.until("-a", "-a/b", "+c", "+c/b")
	w.write("c/b", "longer")
	w.until("+c/b")
}

func TestMissingRoot(t *testing.T) {
	_, err := New(Options{Roots: []Root{{Path: "/nonexistent/dir"}}})
	if err == nil || !strings.Contains(err.Error(), "cannot watch /nonexistent/dir") {
		t.Errorf("got %v", err)
	}
}

// TestCameAndWent: a reader who was late for an earlier change may have met what was
// there for a moment, and missed what was away.
func TestCameAndWent(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "away/deep"), 0o755), os.WriteFile(filepath.Join(dir, "away/deep/f"), nil, 0o644))
	w := still(t, dir, Options{})
	w.write("passing", "x")
	must(t, os.Remove(w.path("passing")))
	must(t, os.Rename(w.path("away"), w.path("tmp")), os.Rename(w.path("tmp"), w.path("away")))
	w.run()
	want := []Change{{Path: "away"}, {Path: "away/deep"}, {Path: "away/deep/f"}, {Path: "passing", Removed: true, Passed: true}, {Path: "tmp", Removed: true, Passed: true}}
	got := map[string]Change{}
	for len(got) < len(want) {
		for _, c := range w.next().Changes {
			got[c.Path] = c
		}
	}
	for _, c := range want {
		if got[c.Path] != c {
			t.Errorf("%s: got %+v", c.Path, got[c.Path])
		}
	}
}
