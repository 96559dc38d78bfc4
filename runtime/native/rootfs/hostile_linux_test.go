package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// outside is a tree of the host that no image may reach. untouched fails the
// test when anything in it changed.
func outside(t *testing.T, c *container) (dir string, untouched func()) {
	dir = c.layer("outside", map[string]string{"file": "host", "dir/": "", "dev/keep": "host"})
	before := snapshot(t, dir)
	return dir, func() {
		t.Helper()
		if after := snapshot(t, dir); after != before {
			t.Errorf("the host was touched.\nbefore:\n%s\nafter:\n%s", before, after)
		}
	}
}

func snapshot(t *testing.T, dir string) string {
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st := hostStat(t, path)
		out.WriteString(strings.Join([]string{path, itoa(int(st.Mode)), itoa(int(st.Uid)), itoa(int(st.Size)), itoa(int(st.Mtim.Nano())), "\n"}, " "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// escapes are link texts that lead outside when they are followed as the host
// would.
func escapes(dir string) map[string]string {
	return map[string]string{
		"absolute": dir + "/dir",
		"relative": "../../../../../../../../../.." + dir + "/dir",
		"missing":  dir + "/nothing/here",
		"climbing": "../../../../../../../../../.." + dir + "/nothing",
	}
}

func TestLinkedDevStaysInside(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		dir, untouched := outside(t, c)
		c.overlayRoot(map[string]string{"dev": "-> " + dir + "/dev"})
		c.setup.Mounts = standardMounts()
		c.setup.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}
		c.build()
		untouched()
		if r := c.must("stat", "/dev/null", ""); r.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("/dev/null is %+v", r)
		}
	})
}

func TestLinkedProcAndSysAreRefused(t *testing.T) {
	for _, name := range []string{"proc", "sys"} {
		for kind, target := range map[string]string{"outside": "/var/tmp", "inside": "/etc", "loop": "/" + name} {
			t.Run(name+" "+kind, func(t *testing.T) {
				c := newContainer(t, true)
				_, untouched := outside(t, c)
				c.overlayRoot(map[string]string{name: "-> " + target, "etc/": ""})
				c.setup.Mounts = standardMounts()
				if _, err := c.tryBuild(); !errors.Is(err, unix.ELOOP) {
					t.Errorf("got error %v", err)
				}
				untouched()
			})
		}
	}
}

func TestLinkedMountTargetsStayInside(t *testing.T) {
	c := newContainer(t, true)
	dir, untouched := outside(t, c)
	files := map[string]string{"etc/resolv.conf": "-> " + dir + "/file", "etc/secret": "-> ../../../../../../.." + dir + "/new"}
	var targets []string
	for name, link := range escapes(dir) {
		files["mnt/"+name] = "-> " + link
		targets = append(targets, "/mnt/"+name, "/mnt/"+name+"/deeper")
	}
	c.overlayRoot(files)
	source := c.layer("volume", map[string]string{"x": "volume"})
	file := filepath.Join(source, "x")
	for _, target := range targets {
		c.setup.Mounts = append(c.setup.Mounts,
			specs.Mount{Destination: target + "/bind", Source: source, Options: []string{"rbind"}},
			specs.Mount{Destination: target + "/tmpfs", Type: "tmpfs", Options: []string{"tmpcopyup"}})
	}
	c.setup.Mounts = append(c.setup.Mounts, specs.Mount{Destination: "/etc/resolv.conf", Source: file, Options: []string{"bind"}})
	c.setup.Files = []runtime.File{{Target: "/etc/secret", Content: []byte("secret"), Mode: 0o400}}
	c.setup.Devices = []specs.LinuxDevice{{Path: "/mnt/absolute/node", Type: "p"}}
	c.setup.Root.Overlays = []runtime.Overlay{overlayOf(c, source, "/mnt/missing/overlay")}
	c.setup.Masked = []string{"/mnt/absolute"}
	c.setup.ReadonlyPaths = []string{"/mnt/relative"}
	c.build()
	untouched()
	if got := c.read("/etc/resolv.conf"); got != "volume" {
		t.Errorf("read %q", got)
	}
	if got := c.read("/etc/secret"); got != "secret" {
		t.Errorf("read %q", got)
	}
	if got := c.read("/mnt/missing/bind/x"); got != "volume" {
		t.Errorf("read %q", got)
	}
}

func TestLinkLoopsAreErrors(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"pair":     {"a": "-> b", "b": "-> a"},
		"self":     {"a": "-> a"},
		"growing":  {"a": "-> a/x/y"},
		"dangling": {"a": "-> missing/../b", "b": "-> missing/../a"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, true)
			c.overlayRoot(files)
			c.setup.Mounts = []specs.Mount{{Destination: "/a", Type: "tmpfs"}}
			if _, err := c.tryBuild(); !errors.Is(err, unix.ELOOP) {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// A link through /proc would leave the root without a path that leads there.
func TestMagicLinksAreNotFollowed(t *testing.T) {
	c := newContainer(t, false)
	dir, untouched := outside(t, c)
	c.overlayRoot(map[string]string{"a": "-> /proc/self/root" + dir + "/dir", "b": "-> /proc/1/cwd/" + dir})
	c.setup.Mounts = append(standardMounts(), specs.Mount{Destination: "/a", Type: "tmpfs"})
	_, err := c.tryBuild()
	if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOENT) {
		t.Errorf("got error %v", err)
	}
	untouched()
}

// What masks must be the real null device, whoever filled /dev.
func TestForgedNullIsNotUsed(t *testing.T) {
	forge := map[string]func(path string) error{
		"file": func(p string) error { return os.WriteFile(p, []byte("x"), 0o666) },
		"link": func(p string) error { return os.Symlink("/proc/self/fd/0", p) },
		"disk": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
	}
	for name, make := range forge {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, true)
			c.overlayRoot(map[string]string{"etc/x": "unmasked"})
			dev := c.layer("dev", map[string]string{"pts/": ""})
			if err := make(filepath.Join(dev, "null")); err != nil {
				t.Fatal(err)
			}
			c.setup.Mounts = []specs.Mount{{Destination: "/dev", Source: dev, Options: []string{"rbind"}}}
			c.setup.Masked = []string{"/etc/x"}
			if _, err := c.tryBuild(); err == nil {
				t.Error("masked with a forged /dev/null")
			}
		})
	}
}

// The first process hands descriptors over: their kind is the kernel's word.
func TestForgedSpecialIsRefused(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Mounts = standardMounts()
	c.target.Special["proc"] = c.target.Special["mqueue"]
	if _, err := c.tryBuild(); err == nil || !strings.Contains(err.Error(), "instead of proc") {
		t.Errorf("got error %v", err)
	}
}

// A bind over a part of /proc that is to be masked must not shift the mask to
// some other object unseen.
func TestMaskBelowProcMustBeProc(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	fake := c.layer("fake", map[string]string{"keys": "fake"})
	c.setup.Files = []runtime.File{{Target: "/proc/keys", Content: []byte("fake"), Mode: 0o444}}
	c.setup.Mounts = append(standardMounts(), specs.Mount{Destination: "/fake", Source: fake, Options: []string{"bind"}})
	c.setup.Masked = []string{"/proc/keys"}
	if _, err := c.tryBuild(); err == nil {
		t.Error("masked something that is not of procfs")
	}
}

func TestWalkNeverLeavesItsRoot(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(root, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, text := range map[string]string{"up": "../../../../over", "abs": "/abs2/../../x", "a/b/mixed": "../../../../../c/./d//"} {
		if err := os.Symlink(text, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for path, want := range map[string]string{
		"/up/one": "over/one", "/abs/two": "x/two", "/a/b/mixed/three": "c/d/three",
		"/../../four": "four", "/a/../../../a/b/five": "a/b/five", "six": "six",
	} {
		got, err := ensure(fd, path, true, false)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		name, _ := os.Readlink(procPath(got))
		if name != filepath.Join(root, want) {
			t.Errorf("%s led to %s", path, name)
		}
		unix.Close(got)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("made outside: %v", entries)
	}
}
