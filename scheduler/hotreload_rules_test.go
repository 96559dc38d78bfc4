package scheduler

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stack/scheduler/watch"
)

// watching is a project of the bench whose files are watched.
type watching struct {
	*bench
	t     *testing.T
	dir   string
	roots hostRoots
	lines chan Reload
	ended chan error
}

func watchBench(t *testing.T, text string, services ...string) *watching {
	needRoot(t)
	w := &watching{bench: newBench(t), t: t, dir: t.TempDir(), roots: hostRoots{t.TempDir()}, lines: make(chan Reload, 64), ended: make(chan error, 1)}
	w.c.Files = w.roots
	if err := os.MkdirAll(filepath.Join(w.dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.up(text)
	go func() {
		w.ended <- w.c.Do(context.Background(), Command{Verb: VerbWatch, Services: services}, func(r Reply) {
			if r.Reload != nil {
				w.lines <- *r.Reload
			}
		})
	}()
	t.Cleanup(func() {
		if err := w.do(Command{Verb: VerbDown}, nil); err != nil {
			t.Error(err)
		}
		if err := <-w.ended; err != nil {
			t.Errorf("with the project, the watch ended with %v", err)
		}
	})
	for !next(t, w.lines).Enabled {
	}
	return w
}

func (w *watching) up(text string) {
	w.t.Helper()
	if err := w.do(Command{Verb: VerbUp}, loadStack(w.t, strings.ReplaceAll(text, "DIR", w.dir))); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watching) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// until waits for a line.
func (w *watching) until(text string) {
	w.t.Helper()
	for {
		if line := next(w.t, w.lines).String(); strings.Contains(line, text) {
			return
		}
	}
}

const ruled = `
services:
  web:
    image: rootfs:/img
    command: [web]
    network_mode: none
    develop: {watch: [RULES]}
  other: {image: "rootfs:/img", command: [other], network_mode: none}
`

// TestRulesFollowTheStack: rules that change while files are watched are taken over,
// with what was synced by those before.
func TestRulesFollowTheStack(t *testing.T) {
	stack := func(rules string) string { return strings.Replace(ruled, "RULES", rules, 1) }
	w := watchBench(t, stack("{path: DIR/src, target: /srv, action: sync}"))
	w.write("src/b", "1")
	w.until("web: 1 file, synced to 1 replica")
	ids := w.ids()
	w.up(stack("{path: DIR/src, target: /srv, action: sync, ignore: [b]}, {path: DIR/src/b, action: restart}"))
	w.until("web: its files are watched by new rules")
	if now := w.ids(); now != ids {
		t.Errorf("changed rules made %s of %s", now, ids)
	}
	w.write("src/b", "2")
	w.until("web: 1 file, restarted 1 replica")
	w.write("src/a", "2")
	w.until("web: 1 file, synced to 1 replica")
	if err := w.do(Command{Verb: VerbUp, ForceRecreate: true}, loadStack(t, strings.ReplaceAll(stack("{path: DIR/src, target: /srv, action: sync}"), "DIR", w.dir))); err != nil {
		t.Fatal(err)
	}
	for _, id := range strings.Fields(w.ids()) {
		if b, err := os.ReadFile(filepath.Join(w.roots.of(id), "srv/a")); err == nil && string(b) == "2" {
			return
		}
	}
	t.Error("a fresh replica has not what was synced by earlier rules")
}

// ids are the containers'.
func (w *watching) ids() string {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	var out []string
	for _, i := range w.c.sorted() {
		out = append(out, i.ID)
	}
	return strings.Join(out, " ")
}

// TestIgnoreFilesAreReadAgain when they change.
func TestIgnoreFilesAreReadAgain(t *testing.T) {
	w := watchBench(t, strings.Replace(ruled, "RULES", "{path: DIR/src, target: /srv, action: sync}", 1))
	w.write("src/.dockerignore", "*.tmp\n")
	w.until("web: 1 file, synced")
	for deadline := time.Now().Add(30 * time.Second); ; {
		w.c.mu.Lock()
		covered := w.c.reload.services["web"].watcher.Covers(0, "x.tmp")
		w.c.mu.Unlock()
		if !covered {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the changed .dockerignore was not read")
		}
		time.Sleep(time.Millisecond)
	}
	w.write("src/x.tmp", "x")
	w.write("src/y", "y")
	w.until("web: 1 file, synced")
	if _, err := os.Stat(filepath.Join(w.roots.of(w.ids()), "srv/x.tmp")); err == nil {
		t.Error("what is ignored by now was synced")
	}
}

// TestReloadersChange without losing what changes meanwhile.
func TestReloadersChange(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t)
	h := &hotReload{c: b.c, each: func(Reload) {}}
	st := loadStack(t, strings.Replace(ruled, "RULES", "{path: "+dir+", target: /srv, action: sync}, {path: "+dir+", action: restart, include: ['*.go']}", 1))
	rules, err := watchRules(st, nil)
	if err != nil {
		t.Fatal(err)
	}
	old, err := b.c.newReloader(st, "web", rules["web"], h)
	if err != nil {
		t.Fatal(err)
	}
	old.touched[0]["earlier"] = 3
	write("a.go")
	write("b")
	fresh, err := b.c.newReloader(st, "web", rules["web"], h)
	if err != nil {
		t.Fatal(err)
	}
	write("c")
	old.stop()
	fresh.inherit(old)
	fresh.stop()
	want := []watch.Change{{Root: 0, Path: "a.go"}, {Root: 1, Path: "a.go"}, {Root: 0, Path: "b"}, {Root: 0, Path: "c"}}
	for _, c := range want {
		found := false
		for _, m := range fresh.missed.Changes {
			found = found || m == c
		}
		if !found {
			t.Errorf("%v was lost; there are %v", c, fresh.missed.Changes)
		}
	}
	if len(fresh.missed.Changes) != len(want) || fresh.touched[0]["earlier"] != 3 {
		t.Errorf("inherited %v and %v", fresh.missed.Changes, fresh.touched)
	}
}

// TestLoopGuard: three times in a row right after a start is once too often.
func TestLoopGuard(t *testing.T) {
	started := time.Now()
	c := &Controller{instances: map[string]*Instance{"x": {ID: "x", Service: "web", State: StateRunning, Started: started}}}
	var told []string
	r := &reloader{c: c, service: "web", tell: func(l Reload) { told = append(told, l.Warning) },
		rules: []reloadRule{{bind: true, base: "/src"}, {base: "/other"}}}
	soon := watch.Batch{Began: started.Add(time.Millisecond), Changes: []watch.Change{{Root: 0, Path: "a"}, {Root: 0, Path: "b"}, {Root: 1, Path: "a"}}}
	late := soon
	late.Began = started.Add(2 * selfTime)
	for n, batch := range []watch.Batch{soon, soon, late, soon, soon, soon} {
		r.watchSelf(batch)
		if off := r.guard.off[0]; off != (n == 5) || r.guard.off[1] {
			t.Errorf("after batch %d: %v", n, r.guard.off)
		}
	}
	if len(told) != 1 {
		t.Errorf("told %q", told)
	}
}

// TestReloadsAreQuiet: the line of a batch tells what was restarted; no other line does.
func TestReloadsAreQuiet(t *testing.T) {
	w := watchBench(t, strings.Replace(ruled, "RULES", "{path: DIR/src, action: restart}", 1))
	sub := w.c.Bus.Subscribe()
	defer sub.Close()
	w.write("src/a", "1")
	w.until("web: 1 file, restarted 1 replica")
	starts := 0
	for _, ev := range sub.Take() {
		if ev.Progress != "" {
			t.Errorf("progress of %s: %s", ev.Name, ev.Progress)
		}
		if ev.Action == "start" {
			starts++
		}
	}
	if starts != 1 {
		t.Errorf("%d starts are events", starts)
	}
	if err := w.do(Command{Verb: VerbRestart}, nil); err != nil {
		t.Fatal(err)
	}
	if list := sub.Take(); !slices.ContainsFunc(list, func(ev Event) bool { return ev.Progress == "Started" }) {
		t.Error("a person's restart is quiet as well")
	}
}
