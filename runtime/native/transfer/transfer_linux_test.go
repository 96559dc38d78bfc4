package transfer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParsePath(t *testing.T) {
	for in, want := range map[string]struct {
		clean           string
		slash, contents bool
	}{
		"/a/b": {"/a/b", false, false}, "a": {"/a", false, false}, "/a/": {"/a", true, false},
		"/a/.": {"/a", true, true}, ".": {"/", true, true}, "": {"/", true, false}, "/": {"/", true, false},
		"/a/../b": {"/b", false, false}, "/a..": {"/a..", false, false}, "/a.": {"/a.", false, false},
	} {
		clean, slash, contents := parsePath(in)
		if clean != want.clean || slash != want.slash || contents != want.contents {
			t.Errorf("%q: %q %v %v", in, clean, slash, contents)
		}
	}
}

// The rules of docker cp, with the container as the target.
func TestWhereCopiesGo(t *testing.T) {
	for name, test := range map[string]struct{ from, to, want string }{
		"file, absent":                  {"/f", "/new", "dir/ dir/x=x file=old new=f"},
		"file, absent with slash":       {"/f", "/new/", "error: no"},
		"file, absent parent":           {"/f", "/no/new", "error: no"},
		"file, file":                    {"/f", "/file", "dir/ dir/x=x file=f"},
		"file, file with slash":         {"/f", "/file/", "error: not a directory"},
		"file, directory":               {"/f", "/dir", "dir/ dir/f=f dir/x=x file=old"},
		"file, directory in it":         {"/x", "/", "error: "},
		"directory, absent":             {"/d", "/new", "dir/ dir/x=x file=old new/ new/g=g"},
		"directory, absent with slash":  {"/d", "/new/", "dir/ dir/x=x file=old new/ new/g=g"},
		"content, absent":               {"/d/.", "/new", "dir/ dir/x=x file=old new/ new/g=g"},
		"directory, file":               {"/d", "/file", "error: cannot copy a directory onto the file"},
		"directory, directory":          {"/d", "/dir", "dir/ dir/d/ dir/d/g=g dir/x=x file=old"},
		"content, directory":            {"/d/.", "/dir", "dir/ dir/g=g dir/x=x file=old"},
		"directory, name that is taken": {"/file", "/", "error: cannot copy a directory onto"},
	} {
		t.Run(name, func(t *testing.T) {
			r, root := box(t)
			write(t, filepath.Join(root, "file"), "old")
			write(t, filepath.Join(root, "dir/x"), "x")
			here := t.TempDir()
			write(t, filepath.Join(here, "f"), "f")
			write(t, filepath.Join(here, "d/g"), "g")
			if name == "directory, name that is taken" {
				write(t, filepath.Join(here, "file/g"), "g")
			}
			if name == "file, directory in it" {
				write(t, filepath.Join(here, "x"), "x")
				if err := os.Mkdir(filepath.Join(root, "x"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			err := copyFile(t, hostRoot(t), here+test.from, r, test.to, UnpackOptions{})
			got := tree(t, root)
			if err != nil {
				got = "error: " + err.Error()
			}
			if want, failing := strings.CutPrefix(test.want, "error: "); failing {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %s, want an error with %q", got, want)
				}
			} else if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func copyFile(t *testing.T, from *Root, source string, to *Root, dest string, o UnpackOptions) error {
	t.Helper()
	s, err := from.Source(source, false)
	if err != nil {
		return err
	}
	defer s.Close()
	target, err := to.Target(dest, s)
	if err != nil {
		return err
	}
	defer target.Close()
	var b bytes.Buffer
	if err := s.Pack(context.Background(), ".", &b); err != nil {
		return err
	}
	return target.Unpack(context.Background(), &b, o)
}

// There and back, everything is as it was; in between it belongs to the container.
func TestRoundTrip(t *testing.T) {
	r, root := box(t)
	here := t.TempDir()
	d := filepath.Join(here, "d")
	write(t, filepath.Join(d, "sub/f"), "content")
	if err := os.Link(filepath.Join(d, "sub/f"), filepath.Join(d, "second")); err != nil {
		t.Fatal(err)
	}
	link(t, "/nowhere", filepath.Join(d, "link"))
	when := time.Unix(1700000000, 500_000_000)
	for _, name := range []string{"sub/f", "sub"} {
		path := filepath.Join(d, name)
		if err := os.Chown(path, 1000, 1001); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	want := tree(t, d)
	for _, keep := range []bool{false, true} {
		o := UnpackOptions{Keep: keep}
		name := map[bool]string{false: "/plain", true: "/kept"}[keep]
		if err := copyFile(t, hostRoot(t), d, r, name, o); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, root+name); got != want {
			t.Errorf("inside: %s\nwant %s", got, want)
		}
		uid, gid := uint32(idBase), uint32(idBase)
		if keep {
			uid, gid = idBase+1000, idBase+1001
		}
		check(t, root+name+"/sub/f", uid, gid, when)
		check(t, root+name+"/sub", uid, gid, when)
		back := filepath.Join(here, "back"+filepath.Base(name))
		if err := copyFile(t, r, name, hostRoot(t), back, o); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, back); got != want {
			t.Errorf("back: %s\nwant %s", got, want)
		}
		if keep {
			check(t, back+"/sub/f", 1000, 1001, when)
		} else {
			check(t, back+"/sub/f", 0, 0, when)
		}
	}
}

func check(t *testing.T, path string, uid, gid uint32, when time.Time) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Uid != uid || st.Gid != gid || info.Mode().Perm() != 0o750 || info.ModTime().Unix() != when.Unix() {
		t.Errorf("%s: %d:%d %v %v", path, st.Uid, st.Gid, info.Mode(), info.ModTime())
	}
}

// An id beyond the container's range is refused rather than changed.
func TestForeignOwner(t *testing.T) {
	r, _ := box(t)
	f := filepath.Join(t.TempDir(), "f")
	write(t, f, "f")
	if err := os.Chown(f, 70000, 0); err != nil {
		t.Fatal(err)
	}
	err := copyFile(t, hostRoot(t), f, r, "/f", UnpackOptions{Keep: true})
	if err == nil || !strings.Contains(err.Error(), "outside the container's user namespace") {
		t.Error(err)
	}
}

// A file is replaced whole: whoever has the old one open keeps it.
func TestReplacesFiles(t *testing.T) {
	r, root := box(t)
	write(t, filepath.Join(root, "f"), "old")
	old, err := os.Open(filepath.Join(root, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	f := filepath.Join(t.TempDir(), "f")
	write(t, f, "new")
	if err := copyFile(t, hostRoot(t), f, r, "/f", UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if _, err := old.Read(b); err != nil || string(b) != "old" || tree(t, root) != "f=new" {
		t.Errorf("%q %v %s", b, err, tree(t, root))
	}
}

// Other kinds of file leave nothing behind when they fail.
func TestStopsWhenAsked(t *testing.T) {
	r, root := box(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	target, err := r.Directory("/")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if err := target.Unpack(ctx, archive(t, file("x")), UnpackOptions{}); err == nil || tree(t, root) != "" {
		t.Errorf("%v %s", err, tree(t, root))
	}
	cut := archive(t, file("x")).Bytes()[:512] // the header alone
	if err := target.Unpack(context.Background(), bytes.NewReader(cut), UnpackOptions{}); err == nil || tree(t, root) != "" {
		t.Errorf("%v %s", err, tree(t, root))
	}
}
