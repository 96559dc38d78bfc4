package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestBindOptions(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(nil)
		dir := c.layer("volume", map[string]string{"file": "host", "sub/inner": "inner"})
		os.Chmod(dir, 0o777)
		os.Chmod(filepath.Join(dir, "file"), 0o666)
		file := filepath.Join(dir, "file")
		bind := func(dest, source string, words ...string) {
			c.setup.Mounts = append(c.setup.Mounts, specs.Mount{Destination: dest, Source: source, Type: "bind", Options: words})
		}
		bind("/rw", dir, "rbind", "rprivate", "nocopy")
		bind("/ro", dir, "rbind", "ro", "nosuid", "nodev", "noexec")
		bind("/rro", dir, "rbind", "rro")
		bind("/deep/file", file, "bind", "ro")
		bind("/sub", dir, "rbind", "subpath=sub")
		c.build()
		c.must("write", "/rw/new", "x")
		c.refuse("write", "/ro/new2", unix.EROFS)
		c.refuse("write", "/rro/new2", unix.EROFS)
		c.refuse("write", "/deep/file", unix.EROFS)
		if got := c.read("/sub/inner"); got != "inner" {
			t.Errorf("read %q", got)
		}
		const flags = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC
		if r := c.must("stat", "/ro", ""); r.Flags&flags != flags {
			t.Errorf("/ro has flags %#x", r.Flags)
		}
		if r := c.must("stat", "/rw", ""); r.Flags&flags != 0 {
			t.Errorf("/rw has flags %#x", r.Flags)
		}
	})
}

func TestBindErrors(t *testing.T) {
	c := newContainer(t, false)
	c.overlayRoot(nil)
	dir := c.layer("volume", map[string]string{"out": "-> ../..", "abs": "-> /etc"})
	for name, m := range map[string]specs.Mount{
		"missing source":  {Destination: "/a", Source: dir + "/nothing", Options: []string{"bind"}},
		"unknown option":  {Destination: "/a", Source: dir, Options: []string{"bind", "sideways"}},
		"relative target": {Destination: "a", Source: dir, Options: []string{"bind"}},
		"missing subpath": {Destination: "/a", Source: dir, Options: []string{"bind", "subpath=nothing"}},
		"subpath up":      {Destination: "/a", Source: dir, Options: []string{"bind", "subpath=../outside"}},
		"subpath link":    {Destination: "/a", Source: dir, Options: []string{"bind", "subpath=out"}},
		"subpath abs":     {Destination: "/a", Source: dir, Options: []string{"bind", "subpath=abs"}},
		"idmap alone":     {Destination: "/a", Source: dir, Options: []string{"bind", "idmap"}},
		"no special":      {Destination: "/a", Type: "cgroup3"},
	} {
		c.setup.Mounts = []specs.Mount{m}
		if _, err := c.tryBuild(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSubmountsOfBinds(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	dir := c.layer("volume", map[string]string{"sub/": ""})
	mountOnHost(t, "tmpfs", filepath.Join(dir, "sub"), "mode=0777")
	c.setup.Mounts = []specs.Mount{
		{Destination: "/rbind", Source: dir, Options: []string{"rbind", "ro"}},
		{Destination: "/bind", Source: dir, Options: []string{"bind"}},
		{Destination: "/rro", Source: dir, Options: []string{"rbind", "rro"}},
	}
	c.build()
	c.must("write", "/rbind/sub/x", "x")
	c.refuse("open", "/bind/sub/x", unix.ENOENT)
	c.refuse("write", "/rro/sub/x", unix.EROFS)
}

func TestPropagationOfBinds(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(nil)
		dir := c.layer("volume", map[string]string{"sub/": ""})
		mountOnHost(t, "tmpfs", dir, "mode=0777")
		if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		c.setup.Mounts = append(standardMounts(),
			specs.Mount{Destination: "/slave", Source: dir, Options: []string{"rbind", "rslave"}},
			specs.Mount{Destination: "/private", Source: dir, Options: []string{"rbind"}},
			specs.Mount{Destination: "/shared", Source: dir, Options: []string{"rbind", "rshared"}})
		c.build()
		if err := os.Mkdir(filepath.Join(dir, "late"), 0o777); err != nil {
			t.Fatal(err)
		}
		mountOnHost(t, "tmpfs", filepath.Join(dir, "late"), "mode=0777")
		os.WriteFile(filepath.Join(dir, "late/file"), []byte("late"), 0o644)
		if got := c.read("/slave/late/file"); got != "late" {
			t.Errorf("read %q", got)
		}
		c.refuse("read", "/private/late/file", unix.ENOENT)
		info := mountInfo(c, "/shared")
		if !strings.Contains(info, "shared:") || strings.Contains(info, "master:") != userNS {
			t.Errorf("a shared bind: %s", info)
		}
	})
}

func TestTmpfsOptions(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(map[string]string{"var/cache/file": "image", "var/cache/link": "-> file", "var/cache/d/x": "deep", "plain/": ""})
		layer := c.setup.Root.Lowers[0]
		os.Chown(filepath.Join(layer, "var/cache"), 33, 34)
		os.Chown(filepath.Join(layer, "var/cache/d/x"), 35, 36)
		os.Chmod(filepath.Join(layer, "var/cache"), 0o750|os.ModeSetgid)
		os.Chmod(filepath.Join(layer, "plain"), 0o711)
		os.Link(filepath.Join(layer, "var/cache/d/x"), filepath.Join(layer, "var/cache/hard"))
		c.setup.Mounts = []specs.Mount{
			{Destination: "/owned", Type: "tmpfs", Options: []string{"size=64k", "mode=0701", "uid=7", "gid=8", "noexec"}},
			{Destination: "/var/cache", Type: "tmpfs", Options: []string{"tmpcopyup"}},
			{Destination: "/plain", Type: "tmpfs"},
			{Destination: "/fresh", Type: "tmpfs"},
			{Destination: "/ro", Type: "tmpfs", Options: []string{"ro"}},
		}
		c.build()
		check := func(path string, uid, gid, mode uint32) {
			t.Helper()
			if r := c.must("stat", path, ""); r.UID != uid || r.GID != gid || r.Mode&0o7777 != mode {
				t.Errorf("%s is %d:%d %o", path, r.UID, r.GID, r.Mode&0o7777)
			}
		}
		check("/owned", 7, 8, 0o701)
		check("/var/cache", 33, 34, 0o2750)
		check("/var/cache/d/x", 35, 36, 0o644)
		check("/plain", 0, 0, 0o711)
		check("/fresh", 0, 0, 0o1777)
		if got := c.read("/var/cache/link"); got != "image" {
			t.Errorf("read %q", got)
		}
		if a, b := c.must("stat", "/var/cache/hard", ""), c.must("stat", "/var/cache/d/x", ""); a.Ino != b.Ino {
			t.Error("a hard link became a copy")
		}
		c.refuse("write", "/ro/x", unix.EROFS)
		r := c.do("write", "/owned/big", strings.Repeat("x", 100<<10))
		if r.Errno != int(unix.ENOSPC) {
			t.Errorf("wrote more than size: %q", r.Err)
		}
	})
}

func TestSpecialTwice(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Mounts = append(standardMounts(), specs.Mount{Destination: "/proc2", Type: "proc", Options: []string{"ro"}})
	c.build()
	for _, p := range []string{"/proc", "/proc2"} {
		if r := c.must("stat", p, ""); r.FS != unix.PROC_SUPER_MAGIC {
			t.Errorf("%s is %#x", p, r.FS)
		}
	}
	c.must("write", "/proc/self/oom_score_adj", "1")
	c.refuse("write", "/proc2/self/oom_score_adj", unix.EROFS)
}

func TestCgroupV1Tree(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	// Any directories do: what is under test is the tree.
	own := func(name string) string { return c.layer("cg-"+name, map[string]string{"cgroup.procs": name}) }
	c.setup.Cgroups = map[string]string{
		"memory": own("memory"), "cpu,cpuacct": own("cpu"), "name=systemd": own("systemd"), "": own("unified"),
	}
	c.setup.Mounts = append(standardMounts(), specs.Mount{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"},
	})
	c.build()
	for dir, want := range map[string]string{
		"memory": "memory", "cpu": "cpu", "cpuacct": "cpu", "cpu,cpuacct": "cpu", "systemd": "systemd", "unified": "unified",
	} {
		if got := c.read("/sys/fs/cgroup/" + dir + "/cgroup.procs"); got != want {
			t.Errorf("%s: read %q", dir, got)
		}
		c.refuse("write", "/sys/fs/cgroup/"+dir+"/cgroup.procs", unix.EROFS)
	}
	c.refuse("mkdir", "/sys/fs/cgroup/x", unix.EROFS)
}

func TestNoCgroupIsAWarning(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Mounts = append(standardMounts(), specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup"})
	if r := c.build(); len(r.Warnings) != 1 {
		t.Errorf("warnings: %q", r.Warnings)
	}
}

func TestIDMappedBinds(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Namespaces = new(UserNamespaces)
	defer c.setup.Namespaces.Close()
	home := c.layer("home", map[string]string{"file": "mine"})
	volume := c.layer("volume", map[string]string{"sub/file": "volume"})
	os.Chown(home, 1234, 1235)
	os.Chown(filepath.Join(home, "file"), 1234, 1235)
	os.Chown(filepath.Join(volume, "sub"), 70, 71)
	c.setup.Mounts = []specs.Mount{
		{
			Destination: "/home", Source: home, Options: []string{"rbind"},
			UIDMappings: ownedBy(1234, 33, c.setup.UIDs), GIDMappings: ownedBy(1235, 33, c.setup.GIDs),
		},
		{Destination: "/volume", Source: volume, Options: []string{"rbind", "idmap"}},
		// A mount point that is missing inside an id-mapped volume is made by
		// an id that the volume has.
		{Destination: "/volume/new/tmp", Type: "tmpfs"},
		{Destination: "/home/new", Type: "tmpfs"},
	}
	os.Chmod(home, 0o777)
	c.build()
	if r := c.must("stat", "/home/file", ""); r.UID != 33 || r.GID != 33 {
		t.Errorf("/home/file is %d:%d", r.UID, r.GID)
	}
	if r := c.must("stat", "/volume/sub", ""); r.UID != 70 || r.GID != 71 {
		t.Errorf("/volume/sub is %d:%d", r.UID, r.GID)
	}
	c.must("write", "/home/byroot", "x")
	if st := hostStat(t, filepath.Join(home, "byroot")); st.Uid != rangeStart {
		t.Errorf("root's file in a bind belongs to %d on disk", st.Uid)
	}
	c.must("write", "/volume/byroot", "x")
	if st := hostStat(t, filepath.Join(volume, "byroot")); st.Uid != 0 {
		t.Errorf("root's file in a volume belongs to %d on disk", st.Uid)
	}
	if st := hostStat(t, filepath.Join(volume, "new")); st.Uid != 0 {
		t.Errorf("a mount point in a volume belongs to %d on disk", st.Uid)
	}
}

// ownedBy shows an id on disk as that of a user of the container, and the ids of the
// container's one range as themselves but for his.
func ownedBy(disk, user uint32, ids []specs.LinuxIDMapping) []specs.LinuxIDMapping {
	first, size := ids[0].HostID, ids[0].Size
	return []specs.LinuxIDMapping{
		{ContainerID: disk, HostID: first + user, Size: 1},
		{ContainerID: first, HostID: first, Size: user},
		{ContainerID: first + user + 1, HostID: first + user + 1, Size: size - user - 1},
	}
}

func TestIDMapRefusal(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Mounts = []specs.Mount{{Destination: "/a", Source: "/proc/sys", Options: []string{"rbind", "idmap"}}}
	_, err := c.tryBuild()
	var refused *IDMapError
	if !errors.Is(err, ErrNoIDMap) || !errors.As(err, &refused) || refused.Source != "/proc/sys" {
		t.Errorf("got error %v", err)
	}
}

func mountOnHost(t *testing.T, kind, dir, data string) {
	t.Helper()
	if err := unix.Mount(kind, dir, kind, 0, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func mountInfo(c *container, target string) string {
	for line := range strings.Lines(c.read("/proc/self/mountinfo")) {
		if fields := strings.Fields(line); fields[4] == target {
			return line
		}
	}
	c.t.Fatalf("nothing is mounted at %s", target)
	return ""
}
