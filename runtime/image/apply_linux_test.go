package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func lstat(t *testing.T, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatalf("lstat %s: %v", name, err)
	}
	return st
}

func TestApplyKeepsEverything(t *testing.T) {
	needRoot(t)
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	long := strings.Repeat("long/", 60) + strings.Repeat("n", 200)
	char := &entry{tar.Header{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3}, ""}
	fifo := &entry{tar.Header{Typeflag: tar.TypeFifo, Name: "fifo", Mode: 0o622}, ""}
	top := mustApply(t,
		dir("./", 0o751).owner(3, 4),
		dir("d/", 0o1777).owner(5, 6).xattr("user.note", "dir"),
		file("d/setuid", "x").owner(1000, 1001).mode(0o4755),
		file("ping", "x").owner(7, 8).mode(0o755).xattr("security.capability", capability).xattr("user.note", "hi"),
		hardLink("ping6", "./ping"),
		hardLink("ping7", "/ping"),
		symlink("abs", "/etc/passwd").owner(9, 10),
		char, fifo,
		file(long, "deep"),
		dir("ro", 0o555), file("ro/f", "x").mode(0),
		file("trusted", "x").xattr("trusted.overlay.redirect", "/x").xattr("user.overlay.opaque", "y").xattr("security.selinux", "x"),
	)
	at := func(name string) string { return filepath.Join(top, name) }
	for _, w := range []struct {
		name     string
		mode     uint32
		uid, gid uint32
	}{
		{".", unix.S_IFDIR | 0o751, 3, 4},
		{"d", unix.S_IFDIR | 0o1777, 5, 6},
		{"d/setuid", unix.S_IFREG | 0o4755, 1000, 1001},
		{"ping", unix.S_IFREG | 0o755, 7, 8},
		{"abs", unix.S_IFLNK | 0o777, 9, 10},
		{"null", unix.S_IFCHR | 0o666, 0, 0},
		{"fifo", unix.S_IFIFO | 0o622, 0, 0},
		{"ro", unix.S_IFDIR | 0o555, 0, 0},
		{"ro/f", unix.S_IFREG, 0, 0},
		{long, unix.S_IFREG | 0o644, 0, 0},
	} {
		st := lstat(t, at(w.name))
		if st.Mode != w.mode || st.Uid != w.uid || st.Gid != w.gid {
			t.Errorf("%.20s: mode %o owner %d:%d, want %o %d:%d", w.name, st.Mode, st.Uid, st.Gid, w.mode, w.uid, w.gid)
		}
		if st.Mtim.Nano() != testTime.UnixNano() {
			t.Errorf("%.20s: modified %d, want %d", w.name, st.Mtim.Nano(), testTime.UnixNano())
		}
	}
	if st := lstat(t, at("null")); st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("null: device %x", st.Rdev)
	}
	a, b := lstat(t, at("ping")), lstat(t, at("ping7"))
	if a.Ino != b.Ino || a.Nlink != 3 {
		t.Errorf("hard links: inodes %d %d, %d links", a.Ino, b.Ino, a.Nlink)
	}
	for name, want := range map[string]map[string]string{
		"ping":    {"security.capability": capability, "user.note": "hi"},
		"d":       {"user.note": "dir"},
		"trusted": {},
	} {
		got, err := readXattrs(at(name))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: attributes %q (%v), want %q", name, got, err, want)
		}
	}
	buf := make([]byte, 1024)
	if n, _ := unix.Llistxattr(at("trusted"), buf); n != 0 {
		t.Errorf("trusted: attributes %q got in", buf[:n])
	}
	if target, _ := os.Readlink(at("abs")); target != "/etc/passwd" {
		t.Errorf("abs: target %q", target)
	}
}

func TestApplySparse(t *testing.T) {
	// GNU.sparse 1.0: the map stands before the data: one block of 5 bytes at 1 MiB.
	sparseMap := "1\n1048576\n5\n"
	body := sparseMap + strings.Repeat("\x00", 512-len(sparseMap)) + "hello"
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	// archive/tar refuses to write these records, so write the header's pieces.
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=holes", "GNU.sparse.realsize=1048581"} {
		records += paxRecord(r)
	}
	raw(t, w, &b, tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: int64(len(body)), Mode: 0o644}, body, records)
	top := t.TempDir()
	if _, err := Apply(context.Background(), top, &b, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	st := lstat(t, filepath.Join(top, "holes"))
	if st.Size != 1048581 || st.Blocks*512 > 64<<10+256<<10 {
		t.Errorf("size %d in %d blocks", st.Size, st.Blocks)
	}
	data, _ := os.ReadFile(filepath.Join(top, "holes"))
	if !bytes.Equal(data, append(make([]byte, 1<<20), "hello"...)) {
		t.Error("content differs")
	}
}

func paxRecord(kv string) string {
	n := len(kv) + 3
	for len(fmt.Sprintf("%d %s\n", n, kv)) != n {
		n++
	}
	return fmt.Sprintf("%d %s\n", n, kv)
}

// raw writes an entry with PAX records of its own making.
func raw(t *testing.T, w *tar.Writer, b *bytes.Buffer, h tar.Header, body, records string) {
	t.Helper()
	block := func(h tar.Header, body string) {
		var one bytes.Buffer
		ow := tar.NewWriter(&one)
		typeflag := h.Typeflag
		h.Typeflag, h.Format = tar.TypeReg, tar.FormatUSTAR
		if err := ow.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := ow.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		ow.Flush()
		data := one.Bytes()
		data[156] = typeflag
		copy(data[148:156], "        ")
		sum := 0
		for _, c := range data[:512] {
			sum += int(c)
		}
		copy(data[148:156], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(data)
	}
	block(tar.Header{Typeflag: 'x', Name: "PaxHeaders/x", Size: int64(len(records))}, records)
	block(h, body)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestApplyWhiteouts(t *testing.T) {
	needRoot(t)
	top := mustApply(t,
		file("a/.wh.gone", ""),
		file("b/.wh..wh..opq", ""),
		file("c/f", "x"), file("c/.wh.f", ""), // of a lower layer's f only
		file(".wh.d", ""), file("d/f", "x"), // d is replaced
		dir("e", 0o755), file("e/f", "x"), file(".wh.e", ""),
		file(".wh.g", ""), file("g", "x"),
		file(".wh.h", ""), dir("h", 0o700),
		file(".wh..wh.plnk", ""), file(".wh..wh.aufs/x", "x"),
	)
	at := func(name string) string { return filepath.Join(top, name) }
	if st := lstat(t, at("a/gone")); st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0 {
		t.Errorf("a/gone: mode %o device %x", st.Mode, st.Rdev)
	}
	for name, want := range map[string]bool{"a": false, "b": true, "c": false, "d": true, "e": true, "h": true} {
		if got, err := hasXattr(at(name), []string{"trusted.overlay.opaque"}, "y"); got != want || err != nil {
			t.Errorf("%s: opaque %v (%v), want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"c/f", "d/f", "e/f", "g"} {
		if st := lstat(t, at(name)); st.Mode&unix.S_IFMT != unix.S_IFREG {
			t.Errorf("%s: mode %o", name, st.Mode)
		}
	}
	if _, err := os.Lstat(at(".wh..wh.plnk")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("aufs metadata got in: %v", err)
	}
}

func TestApplyReplaces(t *testing.T) {
	top := mustApply(t,
		file("f", "1"), file("f", "2"),
		dir("d", 0o755), file("d/x", "x"), file("d", "now a file"),
		symlink("l", "d2"), dir("d2", 0o755), dir("l", 0o755), file("l/x", "x"),
		file("h1", "1"), hardLink("h2", "h1"), file("h2", "other"),
		symlink("in", "d2"), file("in/through", "x"),
	)
	for name, want := range map[string]string{"f": "2", "d": "now a file", "l/x": "x", "h1": "1", "h2": "other", "d2/through": "x"} {
		if got, err := os.ReadFile(filepath.Join(top, name)); string(got) != want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(top, "d2/x")); err == nil {
		t.Error("the replaced link was followed")
	}
}

// TestApplyConfines unpacks layers that try to reach a neighbour directory. Each
// is refused, or does its writing inside; the neighbour stays as it was.
// TestApplyReplacedDirectory: what an archive says of a directory is not for the one
// that a link, which took its place, leads to.
func TestApplyReplacedDirectory(t *testing.T) {
	top := mustApply(t, dir("kept", 0o700), dir("gone", 0o777), symlink("gone", "kept"))
	if st := lstat(t, filepath.Join(top, "kept")); st.Mode&0o7777 != 0o700 {
		t.Errorf("mode %o", st.Mode&0o7777)
	}
}

func TestApplyConfines(t *testing.T) {
	up := strings.Repeat("../", 30)
	for name, c := range map[string]struct {
		entries []*entry
		refused string // part of the error, or "" if it is to be confined
	}{
		"dot dot":                {[]*entry{file("../victim/f", "evil")}, "refused"},
		"dot dot inside":         {[]*entry{file("a/../../victim/f", "evil")}, "refused"},
		"only dot dot":           {[]*entry{dir("..", 0o777)}, "refused"},
		"absolute":               {[]*entry{file("/OUTSIDE/f", "evil")}, ""},
		"symlink parent":         {[]*entry{symlink("l", "OUTSIDE"), file("l/f", "evil")}, ""},
		"relative symlink":       {[]*entry{symlink("l", up+"OUTSIDE"), file("l/f", "evil")}, ""},
		"symlink chain":          {[]*entry{symlink("a", "/"), symlink("b", "a/OUTSIDE"), file("b/f", "evil")}, ""},
		"symlink over dir":       {[]*entry{dir("l", 0o755), file("l/x", ""), symlink("l", "OUTSIDE"), file("l/f", "evil")}, ""},
		"directory meta":         {[]*entry{dir("l", 0o700), symlink("l", "OUTSIDE")}, "ok"},
		"loop":                   {[]*entry{symlink("a", "b"), symlink("b", "a"), file("a/f", "evil")}, "too many levels"},
		"write through link":     {[]*entry{symlink("f", "OUTSIDE/f"), file("f", "evil")}, "ok"},
		"hard link outside":      {[]*entry{hardLink("f", "../victim/f"), file("f", "evil")}, "refused"},
		"hard link absolute":     {[]*entry{hardLink("g", "OUTSIDE/f")}, "target"},
		"hard link via symlink":  {[]*entry{symlink("l", "OUTSIDE"), hardLink("g", "l/f")}, "target"},
		"hard link to symlink":   {[]*entry{symlink("l", "OUTSIDE/f"), hardLink("g", "l"), file("g", "evil")}, "ok"},
		"hard link to directory": {[]*entry{dir("d", 0o755), hardLink("g", "d")}, "refused"},
		"hard link to itself":    {[]*entry{file("g", "x"), hardLink("g", "./g")}, "refused"},
		"whiteout of dot dot":    {[]*entry{file("a/.wh...", "")}, "refused"},
		"whiteout of dot":        {[]*entry{file("a/.wh..", "")}, "refused"},
		"whiteout of nothing":    {[]*entry{file("a/.wh.", "")}, "refused"},
		"whiteout via symlink":   {[]*entry{symlink("l", "OUTSIDE"), file("l/.wh.f", "")}, ""},
		"opaque via symlink":     {[]*entry{symlink("l", "OUTSIDE"), file("l/.wh..wh..opq", "")}, ""},
		"proc":                   {[]*entry{symlink("l", "/proc/self/cwd"), file("l/f", "evil")}, ""},
		"root is a file":         {[]*entry{file(".", "evil")}, "refused"},
		"root is a link":         {[]*entry{symlink("./", "OUTSIDE")}, "refused"},
		"file as parent":         {[]*entry{file("a", ""), file("a/b", "")}, "not a directory"},
		"owner out of range":     {[]*entry{file("a", "").owner(1<<32-1, 0)}, "out of range"},
		"endless name":           {[]*entry{file(strings.Repeat("a/", 3000)+"f", "")}, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			victim := filepath.Join(base, "victim")
			layer := filepath.Join(base, "layer")
			for _, d := range []string{victim, layer} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(victim, "f"), []byte("good"), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, e := range c.entries {
				e.Name = strings.ReplaceAll(e.Name, "/OUTSIDE", victim)
				e.Linkname = strings.ReplaceAll(e.Linkname, "OUTSIDE", victim)
			}
			before := lstat(t, victim)
			_, err := Apply(context.Background(), layer, bytes.NewReader(makeTar(t, c.entries...)), DefaultLimits)
			switch {
			case c.refused == "refused" && !errors.Is(err, ErrHostile):
				t.Errorf("error %v, want ErrHostile", err)
			case c.refused != "" && c.refused != "ok" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("error %v, want one with %q", err, c.refused)
			case c.refused == "ok" && err != nil:
				t.Error(err)
			}
			after := lstat(t, victim)
			after.Atim = before.Atim
			if before != after {
				t.Error("the directory outside was touched")
			}
			if data, _ := os.ReadFile(filepath.Join(victim, "f")); string(data) != "good" {
				t.Errorf("the file outside has %q", data)
			}
			if names, _ := os.ReadDir(victim); len(names) != 1 {
				t.Errorf("files outside: %v", names)
			}
		})
	}
}

func TestApplyLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits  Limits
		entries []*entry
	}{
		"entries": {Limits{3, 1 << 20}, []*entry{file("a", ""), file("b", ""), file("c", ""), file("d", "")}},
		"implied": {Limits{3, 1 << 20}, []*entry{file("a/b/c/d", "")}},
		"bytes":   {Limits{9, 1 << 20}, []*entry{file("a", strings.Repeat("x", 600<<10)), file("b", strings.Repeat("x", 600<<10))}},
	} {
		_, err := Apply(context.Background(), t.TempDir(), bytes.NewReader(makeTar(t, c.entries...)), c.limits)
		if !errors.Is(err, ErrHostile) {
			t.Errorf("%s: error %v, want ErrHostile", name, err)
		}
	}
}

func TestApplyTruncated(t *testing.T) {
	data := makeTar(t, file("a", strings.Repeat("x", 1000)))
	for _, cut := range []int{1024 + 24 + 500, 1024 + 24 + 1000 + 100} { // in the content, in the header
		if _, err := Apply(context.Background(), t.TempDir(), bytes.NewReader(data[:len(data)-cut]), DefaultLimits); err == nil {
			t.Errorf("an archive cut by %d was accepted", cut)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Apply(ctx, t.TempDir(), bytes.NewReader(data), DefaultLimits); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v after cancel", err)
	}
}

func FuzzApply(f *testing.F) {
	f.Add(makeTar(f, file("a/.wh.b", ""), symlink("l", "../.."), file("l/x", "x"), hardLink("h", "l/x")))
	f.Add(makeTar(f, dir(".", 0o700), file("a/.wh..wh..opq", ""), file("a/b", "x").xattr("user.a", "b")))
	base := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		layer := filepath.Join(base, "sub", "layer")
		if err := os.MkdirAll(layer, 0o755); err != nil {
			t.Fatal(err)
		}
		Apply(context.Background(), layer, bytes.NewReader(data), Limits{Entries: 100, Bytes: 1 << 20})
		os.Chmod(layer, 0o700)
		if err := removeTree(layer); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{base, filepath.Join(base, "sub")} {
			if names, _ := os.ReadDir(d); len(names) > 1 {
				t.Fatalf("files outside: %v", names)
			}
		}
	})
}
