package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

func itoa(n int) string { return fmt.Sprint(n) }

func TestBuildStandardRoot(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(map[string]string{"etc/hostname": "image\n", "bin/": "", "tmp/": ""})
		os.Chown(c.setup.Root.Lowers[0], 0, 0)
		c.setup.Mounts = standardMounts()
		c.setup.Masked, c.setup.ReadonlyPaths = defaultMasked, defaultReadonly
		if r := c.build(); len(r.Warnings) > 0 {
			t.Error("warnings: ", r.Warnings)
		}
		checkRoot(t, c)
		checkDev(t, c)
		checkRestrictions(t, c)
		checkMountTable(t, c)
	})
}

func checkRoot(t *testing.T, c *container) {
	if r := c.must("stat", "/", ""); r.UID != 0 || r.GID != 0 || r.Mode&0o7777 != 0o755 {
		t.Errorf("/ is %d:%d %o", r.UID, r.GID, r.Mode)
	}
	if r := c.must("stat", "/etc/hostname", ""); r.UID != 0 {
		t.Errorf("a file of the image belongs to %d", r.UID)
	}
	if got := c.read("/etc/hostname"); got != "image\n" {
		t.Errorf("read %q", got)
	}
	c.must("write", "/etc/hostname", "mine")
	c.must("write", "/new", "new")
	lower := filepath.Join(c.setup.Root.Lowers[0], "etc/hostname")
	if data, _ := os.ReadFile(lower); string(data) != "image\n" {
		t.Errorf("the layer was written: %q", data)
	}
	want := uint32(0)
	if c.setup.UserNS != nil {
		want = rangeStart
	}
	if st := hostStat(t, filepath.Join(c.setup.Root.Upper, "new")); st.Uid != want {
		t.Errorf("new file belongs to %d on the host, want %d", st.Uid, want)
	}
	for _, name := range []string{"dev", "proc", "sys"} {
		if r := c.must("stat", "/"+name, ""); r.UID != 0 && name == "dev" {
			t.Errorf("/%s belongs to %d", name, r.UID)
		}
	}
}

func checkDev(t *testing.T, c *container) {
	for _, n := range standardNodes {
		r := c.must("stat", "/dev/"+n.name, "")
		if r.Mode != unix.S_IFCHR|0o666 || r.Rdev != unix.Mkdev(n.major, n.minor) || r.UID != 0 {
			t.Errorf("/dev/%s is %o %d:%d of %d", n.name, r.Mode, unix.Major(r.Rdev), unix.Minor(r.Rdev), r.UID)
		}
	}
	for _, name := range []string{"null", "zero", "urandom", "full"} {
		c.must("open", "/dev/"+name, "")
	}
	c.must("open", "/dev/ptmx", "")
	for _, l := range standardLinks {
		if got := c.must("readlink", "/dev/"+l.name, "").Text; got != l.target {
			t.Errorf("/dev/%s leads to %q", l.name, got)
		}
	}
	if r := c.must("stat", "/dev/shm", ""); r.Mode&0o7777 != 0o1777 || r.FS != unix.TMPFS_MAGIC {
		t.Errorf("/dev/shm has mode %o, file system %#x", r.Mode, r.FS)
	}
	if r := c.must("stat", "/dev/pts", ""); r.FS != unix.DEVPTS_SUPER_MAGIC {
		t.Errorf("/dev/pts is %#x", r.FS)
	}
	if r := c.do("stat", "/dev/core", ""); r.Err == "" {
		t.Error("/dev/core exists")
	}
}

func checkRestrictions(t *testing.T, c *container) {
	c.refuse("write", "/proc/sys/kernel/hostname", unix.EROFS)
	c.refuse("write", "/proc/sysrq-trigger", unix.EROFS, unix.ENOENT)
	c.refuse("write", "/sys/kernel/uevent_seqnum", unix.EROFS, unix.EACCES)
	for _, p := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"} {
		r := c.do("stat", p, "")
		if r.Errno == int(unix.ENOENT) {
			continue
		}
		if r.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("%s is not masked: %+v", p, r)
		}
	}
	for _, p := range []string{"/sys/firmware", "/proc/scsi", "/proc/acpi"} {
		r := c.do("stat", p, "")
		if r.Errno == int(unix.ENOENT) {
			continue
		}
		if r.FS != unix.TMPFS_MAGIC || c.must("list", p, "").Text != "" {
			t.Errorf("%s is not masked: %+v", p, r)
		}
		c.refuse("mkdir", p+"/x", unix.EROFS)
	}
}

// checkMountTable expects nothing of the host: the container's table has its
// own mounts only.
func checkMountTable(t *testing.T, c *container) {
	table := c.read("/proc/self/mountinfo")
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		kind := line[strings.Index(line, " - ")+3:]
		if fields[4] == "/" && !strings.HasPrefix(kind, "overlay") {
			t.Errorf("foreign root: %s", line)
		}
		if strings.Contains(line, "shared:") || strings.Contains(line, "master:") {
			t.Errorf("not private: %s", line)
		}
		if strings.HasPrefix(kind, "ext4") {
			t.Errorf("mount of the host: %s", line)
		}
	}
	if got, want := len(strings.Split(strings.TrimSpace(table), "\n")), 40; got > want {
		t.Errorf("%d mounts:\n%s", got, table)
	}
	if n := c.must("stat", "/", "").Ino; n == hostStat(t, "/").Ino && c.setup.Path == "/" {
		t.Error("the root is the host's")
	}
}

func TestBuildReadonlyRoot(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(map[string]string{"etc/hostname": "image"})
	c.setup.Mounts = standardMounts()
	c.setup.Readonly = true
	c.build()
	c.refuse("write", "/x", unix.EROFS)
	c.must("write", "/dev/shm/x", "")
}

// What lies over the root as part of it is read-only with it, or by itself
// when it has no upper directory.
func TestReadonlyOverlays(t *testing.T) {
	for _, readonly := range []bool{true, false} {
		c := newContainer(t, true)
		c.overlayRoot(nil)
		usr := c.layer("usr", map[string]string{"tool": "host"})
		c.setup.Root.Overlays = []runtime.Overlay{overlayOf(c, usr, "/usr"), {Target: "/lib", Lower: usr}}
		c.setup.Mounts = []specs.Mount{{Destination: "/usr/late/point", Type: "tmpfs"}, {Destination: "/lib/point", Type: "tmpfs"}}
		c.setup.Readonly = readonly
		c.build()
		c.refuse("write", "/lib/x", unix.EROFS)
		c.must("write", "/lib/point/x", "")
		if readonly {
			c.refuse("write", "/usr/x", unix.EROFS)
		} else {
			c.must("write", "/usr/x", "")
		}
	}
}

func TestBuildWithoutUpperIsReadonly(t *testing.T) {
	c := newContainer(t, true)
	c.setup.Root.Lowers = []string{c.layer("a", map[string]string{"a": "1"}), c.layer("b", map[string]string{"a": "2", "b": "2"})}
	c.setup.Mounts = standardMounts()
	c.build()
	if a, b := c.read("/a"), c.read("/b"); a != "1" || b != "2" {
		t.Errorf("read %q and %q: the topmost layer comes first", a, b)
	}
	c.refuse("write", "/x", unix.EROFS)
}

func TestBuildKeepsOwnersOfTheImage(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(map[string]string{"srv/data": "x"})
	layer := c.setup.Root.Lowers[0]
	os.Chown(layer, 3, 4)
	os.Chmod(layer, 0o711)
	os.Chown(filepath.Join(layer, "srv"), 999, 998)
	c.build()
	if r := c.must("stat", "/", ""); r.UID != 3 || r.GID != 4 || r.Mode&0o7777 != 0o711 {
		t.Errorf("/ is %d:%d %o", r.UID, r.GID, r.Mode)
	}
	if r := c.must("stat", "/srv", ""); r.UID != 999 || r.GID != 998 {
		t.Errorf("/srv is %d:%d", r.UID, r.GID)
	}
}

// An upper directory in use keeps what the container made of it.
func TestBuildTwiceWithOneUpper(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(map[string]string{"a": ""})
	c.build()
	c.must("write", "/kept", "yes")
	d := newContainer(t, true)
	d.setup.Root = c.setup.Root
	d.build()
	if got := d.read("/kept"); got != "yes" {
		t.Errorf("read %q", got)
	}
	d.must("write", "/kept", "again")
}

func TestBuildOverlaysInside(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(map[string]string{"etc/": ""})
		usr := c.layer("usr", map[string]string{"bin/tool": "host"})
		c.setup.Root.Overlays = append(c.setup.Root.Overlays, overlayOf(c, usr, "/deep/usr"))
		c.build()
		if got := c.read("/deep/usr/bin/tool"); got != "host" {
			t.Errorf("read %q", got)
		}
		if r := c.must("stat", "/deep/usr/bin/tool", ""); r.UID != 0 {
			t.Errorf("belongs to %d", r.UID)
		}
		c.must("write", "/deep/usr/bin/tool", "mine")
		if data, _ := os.ReadFile(filepath.Join(usr, "bin/tool")); string(data) != "host" {
			t.Errorf("the host's file was written: %q", data)
		}
	})
}

func TestBuildDirectoryRoot(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.setup.Path = c.layer("plain", map[string]string{"a": "1"})
		c.setup.Mounts = standardMounts()
		c.build()
		if r := c.must("stat", "/a", ""); r.UID != 0 {
			t.Errorf("belongs to %d", r.UID)
		}
		c.must("write", "/b", "2")
		if st := hostStat(t, filepath.Join(c.setup.Path, "b")); st.Uid != 0 {
			t.Errorf("belongs to %d on disk", st.Uid)
		}
	})
}

func TestNoDevicesFromImagesInUserNamespace(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(map[string]string{"a": ""})
	node := filepath.Join(c.setup.Root.Lowers[0], "disk")
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	c.build()
	c.refuse("open", "/disk", unix.EACCES)
	c.refuse("mknod", "/null", unix.EPERM)
}

func overlayOf(c *container, lower, target string) runtime.Overlay {
	name := filepath.Base(lower)
	return runtime.Overlay{
		Target: target, Lower: lower,
		Upper: filepath.Join(c.dir, name+"-upper"), Work: filepath.Join(c.dir, name+"-work"),
	}
}

func TestBuildManyAtOnce(t *testing.T) {
	needRoot(t)
	var containers []*container
	for range 16 {
		c := newContainer(t, true)
		c.overlayRoot(map[string]string{"etc/hostname": "image\n"})
		c.setup.Mounts, c.setup.Masked, c.setup.Terminal = standardMounts(), defaultMasked, true
		containers = append(containers, c)
	}
	var wg sync.WaitGroup
	for _, c := range containers {
		wg.Go(func() {
			r, err := Build(t.Context(), c.target, c.setup)
			if err != nil {
				t.Error(err)
				return
			}
			r.close()
		})
	}
	wg.Wait()
	for _, c := range containers {
		c.must("chdir", "/", "")
		checkRoot(t, c)
	}
}

func TestBuildStopsWithItsContext(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Build(ctx, c.target, c.setup); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

func TestRootPropagation(t *testing.T) {
	for word, want := range map[string]string{"rshared": "shared:", "private": ""} {
		c := newContainer(t, true)
		c.overlayRoot(nil)
		c.setup.Mounts, c.setup.Propagation = standardMounts(), word
		c.build()
		if info := mountInfo(c, "/"); want != "" && !strings.Contains(info, want) || strings.Contains(info, "master:") {
			t.Errorf("%s: %s", word, info)
		}
	}
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Propagation = "sideways"
	if _, err := c.tryBuild(); err == nil {
		t.Error("no error")
	}
}

// A directory that is owned by the container's range already is used as it is.
func TestDirectoryRootInRange(t *testing.T) {
	c := newContainer(t, true)
	c.setup.Path = c.layer("plain", map[string]string{"a": "1"})
	for _, p := range []string{"", "a"} {
		os.Chown(filepath.Join(c.setup.Path, p), rangeStart, rangeStart)
	}
	c.setup.Mounts = standardMounts()
	c.build()
	if r := c.must("stat", "/a", ""); r.UID != 0 {
		t.Errorf("belongs to %d", r.UID)
	}
}
