package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestOneInstanceForAll: 130 watchers, more than a machine has instances, are told by
// inotify, those of one directory and of their own, also when some have gone.
func TestOneInstanceForAll(t *testing.T) {
	if limited(t, "max_inotify_instances", "1") {
		return
	}
	common, shared := t.TempDir(), new(Instance)
	var all []*watched
	for n := range 130 {
		own := filepath.Join(t.TempDir(), fmt.Sprint(n))
		must(t, os.Mkdir(own, 0o755))
		o := Options{Instance: shared, Roots: []Root{{Path: common}, {Path: own}}, Warn: func(s string) { t.Error(s) }}
		all = append(all, start(t, own, o))
	}
	for _, w := range all {
		w.write("f", "x")
	}
	must(t, os.WriteFile(filepath.Join(common, "c"), nil, 0o644))
	for _, w := range all {
		if w.w.Polls() {
			t.Fatal("it polls")
		}
		w.until("0+c", "1+f")
	}
}

// TestInstanceMoves: of two who have a directory under different roots, one learns
// from the other's being told that it moved.
func TestInstanceMoves(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "conf"), 0o755), os.WriteFile(filepath.Join(dir, "conf/a"), []byte("1"), 0o644))
	shared := new(Instance)
	w := start(t, dir, Options{Instance: shared})
	f := followed(t, filepath.Join(dir, "conf"), shared, "a")
	for n := range 5 {
		old := fmt.Sprint("old", n)
		must(t, os.Rename(w.path("conf"), w.path(old)), os.Mkdir(w.path("conf"), 0o755))
		w.write("conf/a", fmt.Sprint("new", n))
		told(t, f, "the directory was replaced")
		w.write("conf/b", "x")
		for seen := false; !seen; { // what else is told depends on when it looks
			seen = slices.Contains(w.next().Changes, Change{Path: "conf/b"})
		}
		w.write("conf/a", fmt.Sprint("newer", n))
		told(t, f, "the file in the new directory was written")
	}
}

// TestFsnotifyForgets: a path that leads to another watched directory by the time it is
// added again is no end of the program when it is removed.
func TestFsnotifyForgets(t *testing.T) {
	dir := t.TempDir()
	one, two, path := filepath.Join(dir, "one"), filepath.Join(dir, "two"), filepath.Join(dir, "path")
	must(t, os.Mkdir(one, 0o755), os.Mkdir(two, 0o755), os.Symlink(two, path))
	var n Instance
	l, err := n.listen()
	must(t, err)
	defer l.Close()
	must(t, l.Add(one), l.Add(path))
	must(t, os.Remove(path), os.Symlink(one, path), n.events.Add(path)) // as if moved after Add looked
	l.Remove(path)
	must(t, os.WriteFile(filepath.Join(one, "file"), nil, 0o644))
	if ev := <-l.Events; ev.Name != filepath.Join(one, "file") {
		t.Errorf("told %v", ev)
	}
}
