package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	stackruntime "stack/runtime"
)

// threeLayers shadow, hide and merge each other; the topmost first.
func threeLayers(t *testing.T) Image {
	bottom := mustApply(t,
		dir("etc", 0o755), file("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), file("etc/old", "old"),
		dir("data", 0o750).owner(70, 71), file("data/one", "1").owner(70, 71).mode(0o600), file("data/two", "2"),
		dir("data/sub", 0o700), file("data/sub/x", "x"), file("data/gone", "g"),
		dir("swap", 0o755), file("swap/f", "f"), file("other", "other"), symlink("lib", "usr/lib"), file("usr/lib/so", "so"),
	)
	middle := mustApply(t,
		dir("data", 0o755).owner(80, 81), file("data/two", "two"), hardLink("data/too", "data/two"), file("data/.wh.gone", ""),
		dir("data/sub", 0o711), file("data/sub/.wh..wh..opq", ""), file("data/sub/y", "y"),
		file("swap", "a file now"), dir("other", 0o755), file("other/f", "dir now"),
	)
	top := mustApply(t,
		symlink("data/link", "/etc/passwd"), symlink("data/out", "../../../../etc/old"), symlink("abs", "/data/sub"),
		file("data/big", "").mode(0o4711).xattr("user.k", "v"), symlink("evil", "/../../../etc"),
		file("swap/.wh..wh..opq", ""), file("swap/new", "new"), file(".wh.other", ""),
		dir("data", 0o2775).owner(90, 91),
	)
	return Image{Ref: "test", Layers: []string{top, middle, bottom}}
}

// describe lists a tree with everything that CopyOut must keep.
func describe(t *testing.T, top string) string {
	t.Helper()
	var lines []string
	inodes := map[uint64]string{}
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, name)
		st := lstat(t, name)
		line := fmt.Sprintf("%s %o %d:%d %x", rel, st.Mode, st.Uid, st.Gid, st.Rdev)
		if !d.IsDir() { // overlayfs gives merged directories other times
			line += fmt.Sprint(" ", st.Mtim.Nano())
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, _ := os.Readlink(name)
			line += " -> " + target
		case unix.S_IFREG:
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			xattrs, err := readXattrs(name)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q %q", data, xattrs)
			if first, ok := inodes[st.Ino]; ok {
				line += " = " + first
			}
			inodes[st.Ino] = rel
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// withOverlay shows layers as the kernel merges them, in a mount namespace that
// dies with its thread.
func withOverlay(t *testing.T, layers []string, f func(top string)) {
	t.Helper()
	top := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return err
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return err
			}
			if err := unix.Mount("overlay", top, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(layers, ":")); err != nil {
				return fmt.Errorf("mount overlay: %w", err)
			}
			f(top)
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestCopyOutIsWhatTheKernelMerges compares our merged view with overlayfs.
func TestCopyOutIsWhatTheKernelMerges(t *testing.T) {
	needRoot(t)
	img := threeLayers(t)
	for _, name := range []string{"/", "/data", "data/sub", "/abs", "/swap", "/lib", "/evil"} {
		to := t.TempDir()
		if ok, err := testStore(t).CopyOut(context.Background(), img, name, to); !ok || err != nil {
			t.Fatalf("%s: %v %v", name, ok, err)
		}
		real := map[string]string{"/abs": "/data/sub", "/lib": "/usr/lib", "/evil": "/etc"}[name]
		if real == "" {
			real = name
		}
		got := describe(t, to)
		withOverlay(t, img.Layers, func(top string) {
			if want := describe(t, filepath.Join(top, real)); got != want {
				t.Errorf("%s: copied\n%s\nthe kernel shows\n%s", name, got, want)
			}
		})
	}
}

func TestCopyOutAbsent(t *testing.T) {
	img := Image{Layers: []string{mustApply(t, file("f", "x"), symlink("dangling", "/nowhere"), symlink("a", "b"), symlink("b", "a"))}}
	s := testStore(t)
	for _, name := range []string{"/nowhere", "/f", "/f/x", "/dangling"} {
		if ok, err := s.CopyOut(context.Background(), img, name, t.TempDir()); ok || err != nil {
			t.Errorf("%s: %v %v, want false and no error", name, ok, err)
		}
	}
	if _, err := s.CopyOut(context.Background(), img, "/a", t.TempDir()); err == nil {
		t.Error("a loop of links is no error")
	}
}

// TestCopyOutConfined has links that would lead out of the image.
func TestCopyOutConfined(t *testing.T) {
	secret := t.TempDir()
	if err := os.WriteFile(filepath.Join(secret, "key"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30) + secret[1:]
	img := Image{Layers: []string{mustApply(t, symlink("abs", secret), symlink("rel", up), dir("d", 0o755), symlink("d/key", up+"/key"))}}
	s := testStore(t)
	for _, name := range []string{"/abs", "/rel", secret, up, "/d/" + up} {
		if ok, err := s.CopyOut(context.Background(), img, name, t.TempDir()); ok || err != nil {
			t.Errorf("%s: %v %v, want false and no error", name, ok, err)
		}
	}
	to := t.TempDir()
	if ok, err := s.CopyOut(context.Background(), img, "/d", to); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if target, _ := os.Readlink(filepath.Join(to, "key")); target != up+"/key" {
		t.Errorf("the link became %q", target)
	}
}

func TestCopyOutOverlays(t *testing.T) {
	host := t.TempDir()
	if err := os.MkdirAll(filepath.Join(host, "share/doc"), 0o755); err != nil {
		t.Fatal(err)
	}
	img := Image{
		Layers:   []string{mustApply(t, dir("usr", 0o755), symlink("share", "usr/share"))},
		Overlays: []stackruntime.Overlay{{Target: "/usr", Lower: host}},
	}
	to := t.TempDir()
	ok, err := testStore(t).CopyOut(context.Background(), img, "/share", to)
	if _, serr := os.Stat(filepath.Join(to, "doc")); !ok || err != nil || serr != nil {
		t.Errorf("%v %v %v", ok, err, serr)
	}
}

func TestCopyOutHoles(t *testing.T) {
	layer := t.TempDir()
	f, err := os.Create(filepath.Join(layer, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("mid"), 8<<20)
	f.Truncate(16 << 20)
	f.Close()
	to := t.TempDir()
	if ok, err := testStore(t).CopyOut(context.Background(), Image{Layers: []string{layer}}, "/", to); !ok || err != nil {
		t.Fatal(ok, err)
	}
	st := lstat(t, filepath.Join(to, "holes"))
	data, _ := os.ReadFile(filepath.Join(to, "holes"))
	if st.Size != 16<<20 || st.Blocks > 1024 || string(data[8<<20:8<<20+3]) != "mid" {
		t.Errorf("size %d, %d blocks", st.Size, st.Blocks)
	}
}

// TestWhiteoutOnOverlay unpacks where devices 0:0 are refused.
func TestWhiteoutOnOverlay(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	for _, d := range []string{"lower", "upper", "work"} {
		os.Mkdir(filepath.Join(base, d), 0o755)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock
		done <- func() error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
				return err
			}
			at := filepath.Join(base, "merged")
			os.Mkdir(at, 0o755)
			opts := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", base, base, base)
			if err := unix.Mount("overlay", at, "overlay", 0, opts); err != nil {
				return err
			}
			layer, below := filepath.Join(at, "l"), filepath.Join(at, "b")
			os.Mkdir(layer, 0o755)
			os.Mkdir(below, 0o755)
			if _, err := Apply(context.Background(), layer, strings.NewReader(string(makeTar(t, file("d/.wh.f", ""), file("d/g", "")))), DefaultLimits); err != nil {
				return err
			}
			if _, err := Apply(context.Background(), below, strings.NewReader(string(makeTar(t, file("d/f", ""), file("d/h", "")))), DefaultLimits); err != nil {
				return err
			}
			to := filepath.Join(base, "to")
			os.Mkdir(to, 0o755)
			if ok, err := copyOut(context.Background(), Image{Layers: []string{layer, below}}, "/d", to); !ok || err != nil {
				return fmt.Errorf("copy out: %v %w", ok, err)
			}
			names, _ := os.ReadDir(to)
			if len(names) != 2 || names[0].Name() != "g" || names[1].Name() != "h" {
				return fmt.Errorf("the merged directory has %v", names)
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestLookupUser(t *testing.T) {
	lower := mustApply(t,
		file("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nweb:x:33:34::/var/www:/bin/false\nhigh:x:4294967296:0::/:\nneg:x:-1:0::/:\n"),
		file("usr/group", "root:x:0:\nwww:x:34:\nlogs:x:40:web\nvideo:x:44:web,other\nwheel:x:10:root\n"),
		symlink("etc/group", "/usr/group"),
	)
	img := Image{Ref: "test", Layers: []string{mustApply(t, file("etc/hostname", "x")), lower}}
	for _, c := range []struct {
		user string
		add  []string
		want string
		fail bool
	}{
		{user: "", want: "0 0 [0 10] /root"},
		{user: "web", want: "33 34 [34 40 44] /var/www"},
		{user: "33", want: "33 34 [34 40 44] /var/www"},
		{user: "web:video", want: "33 44 [44] /var/www"},
		{user: "web:7", want: "33 7 [7] /var/www"},
		{user: "1234", want: "1234 0 [0] /"},
		{user: "1234:logs", want: "1234 40 [40] /"},
		{user: "web", add: []string{"wheel", "99", "video"}, want: "33 34 [10 34 40 44 99] /var/www"},
		{user: "nobody", fail: true},
		{user: "web:nogroup", fail: true},
		{user: "web", add: []string{"nogroup"}, fail: true},
		{user: "high", fail: true},
		{user: "neg", fail: true},
		{user: "4294967296", fail: true},
		{user: "-1", fail: true},
	} {
		u, home, err := LookupUser(img, c.user, c.add)
		got := fmt.Sprintln(u.UID, u.GID, u.AdditionalGids, home)
		if (err != nil) != c.fail || err == nil && strings.TrimSpace(got) != c.want {
			t.Errorf("%q %v: %s(%v), want %s", c.user, c.add, got, err, c.want)
		}
	}
	// An image without accounts has numbers only.
	bare := Image{Layers: []string{t.TempDir()}}
	if u, home, err := LookupUser(bare, "5:6", []string{"7"}); err != nil || u.UID != 5 || u.GID != 6 || home != "/" || !slices.Equal(u.AdditionalGids, []uint32{6, 7}) {
		t.Errorf("%v %q %v", u, home, err)
	}
	if _, _, err := LookupUser(bare, "web", nil); err == nil {
		t.Error("a name was found in an image without accounts")
	}
	// The host's accounts are not read through links, and a FIFO does not hang.
	fifo := t.TempDir()
	os.Mkdir(filepath.Join(fifo, "etc"), 0o755)
	if err := unix.Mkfifo(filepath.Join(fifo, "etc/passwd"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LookupUser(Image{Layers: []string{fifo}}, "root", nil); err == nil {
		t.Error("accounts were read from a FIFO")
	}
}
