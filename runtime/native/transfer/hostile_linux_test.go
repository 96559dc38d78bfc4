package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A path that a person names is resolved as inside the container.
func TestNamedPathsStayInside(t *testing.T) {
	r, root := box(t)
	outside := filepath.Join(filepath.Dir(root), "outside")
	link(t, outside, filepath.Join(root, "absolute"))
	link(t, "../outside", filepath.Join(root, "relative"))
	link(t, "/proc/self/root", filepath.Join(root, "magic"))
	link(t, "../../../../../"+outside+"/secret", filepath.Join(root, "file"))
	link(t, "loop", filepath.Join(root, "loop"))
	for _, name := range []string{"/absolute/secret", "/relative/secret", "/../outside/secret", "/magic/etc/passwd", "/file"} {
		if s, err := r.Source(name, true); err == nil {
			s.Close()
			t.Errorf("%s was found", name)
		}
		if b, err := r.ReadFile(name, 100); err == nil {
			t.Errorf("%s holds %q", name, b)
		}
	}
	for _, name := range []string{"/absolute/new", "/relative/new", "/magic/tmp/new", "/loop/new", "/loop"} {
		target, err := r.Target(name, &Source{Base: "new"})
		if err == nil {
			target.Close()
			t.Errorf("%s is a target", name)
		}
	}
	if _, err := r.Source("/loop", true); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a link to itself gave %v", err)
	}
}

// A link at the end of the target is followed, to the place that it names inside.
func TestTargetLinkLeadsInside(t *testing.T) {
	r, root := box(t)
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "/etc/secret", filepath.Join(root, "config")) // dangles, also on the host
	target, err := r.Target("/config", &Source{Base: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if err := target.Unpack(context.Background(), archive(t, file(".")), UnpackOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, root); got != "config->/etc/secret etc/ etc/secret=." {
		t.Error(got)
	}
}

// An archive can neither name nor link its way out of the target.
func TestHostileArchives(t *testing.T) {
	for name, test := range map[string]struct {
		entries []tar.Header
		fails   string
		tree    string
	}{
		"dots":              {[]tar.Header{file("../x")}, "leads out", "old=old out->../../outside sub/"},
		"inner dots":        {[]tar.Header{file("sub/../../x")}, "leads out", "old=old out->../../outside sub/"},
		"absolute":          {[]tar.Header{file("/x")}, "", "old=old out->../../outside sub/ x=/x"},
		"through old link":  {[]tar.Header{file("out/x")}, "out/x", "old=old out->../../outside sub/"},
		"directory on link": {[]tar.Header{dir("out/")}, "out", "old=old out->../../outside sub/"},
		"through own link": {
			[]tar.Header{symlink("a", "../../outside"), file("a/x")}, "a/x",
			"a->../../outside old=old out->../../outside sub/",
		},
		"link then dir": {
			[]tar.Header{symlink("a", "../../outside"), dir("a/"), file("a/x")}, "a",
			"a->../../outside old=old out->../../outside sub/",
		},
		"replaces link": {[]tar.Header{file("out")}, "", "old=old out=out sub/"},
		"hard link out": {[]tar.Header{hardLink("h", "../../outside/secret")}, "leads out", "old=old out->../../outside sub/"},
		"hard link through link": {
			[]tar.Header{hardLink("h", "out/secret")}, "not in the archive", "old=old out->../../outside sub/",
		},
		"hard link to old file": {[]tar.Header{hardLink("h", "old")}, "not in the archive", "old=old out->../../outside sub/"},
		"file onto directory":   {[]tar.Header{file("sub")}, "sub", "old=old out->../../outside sub/"},
		"device": {
			[]tar.Header{{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}}, "", "old=old out->../../outside sub/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, root := box(t)
			write(t, filepath.Join(root, "to/old"), "old")
			if err := os.Mkdir(filepath.Join(root, "to/sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, "../../outside", filepath.Join(root, "to/out"))
			target, err := r.Directory("/to")
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			err = target.Unpack(context.Background(), archive(t, test.entries...), UnpackOptions{})
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("got %v, want %q", err, test.fails)
			}
			if got := tree(t, filepath.Join(root, "to")); got != test.tree {
				t.Errorf("got  %s\nwant %s", got, test.tree)
			}
		})
	}
}

// What runs in the container swaps directories for links while files come in.
func TestSwappedDirectories(t *testing.T) {
	r, root := box(t)
	var entries []tar.Header
	for range 50 {
		entries = append(entries, dir("a/"), dir("a/b/"), file("a/b/c"), file("a/b/d/e"))
	}
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		a, away, out := filepath.Join(root, "a"), filepath.Join(root, "away"), filepath.Join(root, "out")
		os.Symlink("../outside", out)
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.Rename(a, away)
			os.Rename(out, a)
			os.Rename(a, out)
			os.Rename(away, a)
		}
	})
	for began, n := time.Now(), 0; n < 5 || n < 30 && time.Since(began) < 2*time.Second; n++ {
		target, err := r.Directory("/")
		if err != nil {
			t.Fatal(err)
		}
		target.Unpack(context.Background(), archive(t, entries...), UnpackOptions{}) // may fail, must not escape
		target.Close()
	}
	close(stop)
	swapping.Wait()
}

// Only regular files are opened for their content, so nothing can hold up a copy.
func TestSpecialSources(t *testing.T) {
	r, root := box(t)
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(root, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(root, "sock"), unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadFile("/fifo", 10); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a FIFO was read: %v", err)
	}
	s, err := r.Source("/.", false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if err := s.Pack(context.Background(), ".", &b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for tr := tar.NewReader(&b); ; {
		h, err := tr.Next()
		if err != nil {
			break
		}
		got = append(got, string(h.Typeflag)+h.Name)
	}
	if text := strings.Join(got, " "); text != "5./ 6fifo 3null" {
		t.Error(text)
	}
	if _, err := r.Target("/fifo", &Source{Base: "x"}); err == nil {
		t.Error("a FIFO was accepted as a target")
	}
}

// The host takes neither set-id bits nor device nodes from a container.
func TestHostTakesNoPrivileges(t *testing.T) {
	needRoot(t)
	to := t.TempDir()
	target, err := hostRoot(t).Directory(to)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	var warnings []string
	entries := archive(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "su", Mode: 0o6755},
		tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o2755},
		tar.Header{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8},
	)
	o := UnpackOptions{Keep: true, Warn: func(s string) { warnings = append(warnings, s) }}
	if err := target.Unpack(context.Background(), entries, o); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"su", "d"} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "sda is a device") {
		t.Errorf("warnings: %q", warnings)
	}
}
