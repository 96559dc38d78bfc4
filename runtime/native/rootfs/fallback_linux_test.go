package rootfs

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
)

// overlayDir is a directory on an overlay, as in a CI container.
func overlayDir(t *testing.T, c *container, files map[string]string) string {
	t.Helper()
	lower := c.layer("nested-lower", files)
	upper, work, top := c.layer("nested-upper", nil), c.layer("nested-work", nil), c.layer("nested", nil)
	mountOnHost(t, "overlay", top, "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
	return top
}

func TestStateOnOverlay(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(map[string]string{"a": "image"})
		state := overlayDir(t, c, nil)
		c.setup.Root.Upper, c.setup.Root.Work = state+"/u", state+"/w"
		r := c.build()
		if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "memory") {
			t.Errorf("warnings: %q", r.Warnings)
		}
		c.must("write", "/a", "mine")
		if got := c.read("/a"); got != "mine" {
			t.Errorf("read %q", got)
		}
		if r := c.must("stat", "/", ""); r.UID != 0 || r.Mode&0o7777 != 0o755 {
			t.Errorf("/ is %d %o", r.UID, r.Mode)
		}
	})
}

// Layers on an overlay cannot be id-mapped: they are copied.
func TestLayersOnOverlayAreCopied(t *testing.T) {
	c := newContainer(t, true)
	nested := overlayDir(t, c, map[string]string{
		"low/etc/a": "1", "low/etc/b": "1", "low/gone": "1", "low/dir/old": "1", "low/file/x": "1",
		"top/etc/a": "2", "top/dir/new": "2", "top/file": "2",
	})
	// Inside the overlay whiteouts must be made as the lower's would look.
	low, top := filepath.Join(nested, "low"), filepath.Join(c.dir, "top")
	if err := os.CopyFS(top, os.DirFS(filepath.Join(nested, "top"))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(top, "gone"), unix.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(filepath.Join(top, "dir"), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	os.Chown(filepath.Join(low, "etc/b"), 12, 13)
	c.setup.Root = runtime.RootFS{Lowers: []string{top, low}, Upper: c.dir + "/u", Work: c.dir + "/w"}
	r := c.build()
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "copy") {
		t.Errorf("warnings: %q", r.Warnings)
	}
	for path, want := range map[string]string{"/etc/a": "2", "/etc/b": "1", "/dir/new": "2", "/file": "2"} {
		if got := c.read(path); got != want {
			t.Errorf("%s: read %q", path, got)
		}
	}
	c.refuse("open", "/gone", unix.ENOENT)
	c.refuse("open", "/dir/old", unix.ENOENT)
	if r := c.must("stat", "/etc/b", ""); r.UID != 12 || r.GID != 13 {
		t.Errorf("/etc/b is %d:%d", r.UID, r.GID)
	}
	c.must("write", "/kept", "yes")
	again := newContainer(t, true)
	again.setup.Root = c.setup.Root
	again.build()
	if got := again.read("/kept"); got != "yes" {
		t.Errorf("the copy was made twice: read %q", got)
	}
}

// The host's programs on an overlay stay usable, if not owned.
func TestHostTreeOnOverlay(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	usr := overlayDir(t, c, map[string]string{"bin/tool": "host"})
	c.setup.Root.Overlays = []runtime.Overlay{overlayOf(c, usr, "/usr")}
	r := c.build()
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "nobody") {
		t.Errorf("warnings: %q", r.Warnings)
	}
	if got := c.read("/usr/bin/tool"); got != "host" {
		t.Errorf("read %q", got)
	}
}

func TestOldKernelPath(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.setup.oldKernel = true
		c.overlayRoot(map[string]string{"etc/hostname": "image\n"})
		c.setup.Root.Lowers = append(c.setup.Root.Lowers, c.layer("second", map[string]string{"second": "2"}))
		usr := c.layer("usr", map[string]string{"tool": "host"})
		c.setup.Root.Overlays = []runtime.Overlay{overlayOf(c, usr, "/usr")}
		c.setup.Files = []runtime.File{{Target: "/run/secret", Content: []byte("s"), Mode: 0o400}}
		c.setup.Mounts = standardMounts()
		c.setup.Masked, c.setup.ReadonlyPaths = defaultMasked, defaultReadonly
		if r := c.build(); len(r.Warnings) > 0 {
			t.Errorf("warnings: %q", r.Warnings)
		}
		checkRoot(t, c)
		checkDev(t, c)
		checkRestrictions(t, c)
		checkMountTable(t, c)
		if a, b, s := c.read("/second"), c.read("/usr/tool"), c.read("/run/secret"); a+b+s != "2hosts" {
			t.Errorf("read %q %q %q", a, b, s)
		}
	})
}

func TestOldKernelStateOnOverlay(t *testing.T) {
	c := newContainer(t, true)
	c.setup.oldKernel = true
	c.overlayRoot(map[string]string{"a": "image"})
	state := overlayDir(t, c, nil)
	c.setup.Root.Upper, c.setup.Root.Work = state+"/u", state+"/w"
	if r := c.build(); len(r.Warnings) != 1 {
		t.Errorf("warnings: %q", r.Warnings)
	}
	c.must("write", "/a", "mine")
}

// Many layers do not fit into one value of fsconfig or a path.
func TestManyLayers(t *testing.T) {
	for name, old := range map[string]bool{"now": false, "old kernel": true} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, true)
			c.setup.oldKernel = old
			c.overlayRoot(nil)
			for i := range 120 {
				c.setup.Root.Lowers = append(c.setup.Root.Lowers, c.layer("l"+itoa(i), map[string]string{"f" + itoa(i): "x", "all": itoa(i)}))
			}
			c.build()
			if a, b := c.read("/f119"), c.read("/all"); a != "x" || b != "0" {
				t.Errorf("read %q, %q", a, b)
			}
		})
	}
}

// Nothing of a container may be left in the host's mount table or in threads
// that keep its mount namespace alive.
func TestBuildLeavesNothingOnTheHost(t *testing.T) {
	needRoot(t)
	table := func() string {
		data, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		var mine []string
		for line := range strings.Lines(string(data)) {
			if strings.Contains(line, "rootfs-test-") {
				mine = append(mine, line)
			}
		}
		return strings.Join(mine, "")
	}
	fds := func() int {
		entries, _ := os.ReadDir("/proc/self/fd")
		return len(entries)
	}
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Mounts = standardMounts()
	c.setup.Terminal = true
	before, open := table(), fds()
	r := c.build()
	r.close()
	if after := table(); after != before {
		t.Errorf("mounts on the host:\n%s", after)
	}
	if n := fds(); n > open {
		t.Errorf("%d descriptors were open, now %d", open, n)
	}
	c.setup.Mounts = append(c.setup.Mounts, standardMounts()[0], standardMounts()[0])
	d := newContainer(t, true)
	d.setup.Root, d.setup.Terminal = c.setup.Root, true
	d.setup.Files = []runtime.File{{Target: "relative"}}
	open = fds()
	if _, err := d.tryBuild(); err == nil {
		t.Error("no error")
	}
	if n := fds(); n > open {
		t.Errorf("after an error: %d descriptors were open, now %d", open, n)
	}
}

// The thread that joined a container's mount namespace ends, and the namespace
// with the container.
func TestNoThreadStaysInside(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.build()
	inside, err := os.Readlink("/proc/" + itoa(c.target.Pid) + "/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; goruntime.Gosched() {
		links, err := filepath.Glob("/proc/self/task/*/ns/mnt")
		if err != nil {
			t.Fatal(err)
		}
		stays := slices.ContainsFunc(links, func(link string) bool {
			ns, _ := os.Readlink(link)
			return ns == inside
		})
		if !stays {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a thread of the creator stays in the container's mount namespace")
		}
	}
}
