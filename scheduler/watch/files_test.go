package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// followed runs a Files over names in a directory.
func followed(t *testing.T, dir string, shared *Instance, names ...string) *Files {
	t.Helper()
	f := NewFiles(shared, func(text string) { t.Error(text) })
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { f.Run(ctx); close(over) }()
	t.Cleanup(func() { cancel(); <-over })
	var paths []string
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	f.Set(ctx, paths)
	return f
}

func told(t *testing.T, f *Files, what string) {
	t.Helper()
	select {
	case <-f.C:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing was told", what)
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFilesSavedByEditors changes a file in the ways that editors have.
func TestFilesSavedByEditors(t *testing.T) {
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	put(t, name("a"), "one")
	f := followed(t, dir, nil, "a", "none")
	rename := func(from, to string) {
		if err := os.Rename(name(from), name(to)); err != nil {
			t.Fatal(err)
		}
	}
	for what, save := range map[string]func(){
		"written over":        func() { put(t, name("a"), "written over") },
		"renamed over":        func() { put(t, name(".a.tmp"), "renamed over"); rename(".a.tmp", "a") },
		"renamed away before": func() { rename("a", "a~"); put(t, name("a"), "new") },
		"removed and written": func() { os.Remove(name("a")); put(t, name("a"), "removed and written") },
		"another one appears": func() { os.Remove(name("none")); put(t, name("none"), "x") },
		"a link elsewhere": func() {
			put(t, name("target"), what())
			os.Remove(name("a"))
			if err := os.Symlink("target", name("a")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		save()
		told(t, f, what)
	}
}

func what() string { return time.Now().String() }

// TestFilesBehindLinks: the link of a link changes, as where directories are
// exchanged whole, and what lies behind it.
func TestFilesBehindLinks(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, d, "conf"), d)
	}
	link := func(to, name string) {
		tmp := filepath.Join(dir, "tmp")
		if err := os.Symlink(to, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("v1", "..data")
	link("..data/conf", "conf")
	f := followed(t, dir, nil, "conf")
	link("v2", "..data")
	told(t, f, "the directory was exchanged")
	put(t, filepath.Join(dir, "v2", "conf"), "changed")
	told(t, f, "what lies behind was written")
	put(t, filepath.Join(other, "x"), "outside")
	link(filepath.Join(other, "x"), "conf")
	told(t, f, "it leads out")
	put(t, filepath.Join(other, "x"), "changed outside")
	told(t, f, "what lies outside was written")
}

// TestFilesOfAMissingDirectory: it comes later, and is exchanged.
func TestFilesOfAMissingDirectory(t *testing.T) {
	dir := t.TempDir()
	f := followed(t, dir, nil, "sub/a")
	sub := filepath.Join(dir, "sub")
	for range 2 {
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(sub, "a"), "x")
		told(t, f, "the directory came")
		if err := os.RemoveAll(sub); err != nil {
			t.Fatal(err)
		}
		told(t, f, "the directory went")
	}
}

// TestFilesUnchanged: a swap file beside, or the same text read, is nothing.
func TestFilesUnchanged(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "one")
	f := followed(t, dir, nil, "a")
	put(t, filepath.Join(dir, ".a.swp"), "x")
	os.Remove(filepath.Join(dir, ".a.swp"))
	if _, err := os.ReadFile(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-f.C:
		t.Error("nothing changed, but something was told")
	case <-time.After(100 * time.Millisecond):
	}
}

// TestFilesFromTheFirst: a change right after Set is told.
func TestFilesFromTheFirst(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "a"), "one")
		f := followed(t, dir, nil, "a")
		put(t, filepath.Join(dir, "a"), "another")
		told(t, f, "changed at once")
	}
}
