package rootfs

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

// These are attacks of a container that shares files with one that is being made:
// whatever is looked at may be another thing the next moment.

// exchange makes two names change places, over and over, until it is stopped, or
// the test ends.
func exchange(t *testing.T, a, b string) (stopped func()) {
	var running sync.WaitGroup
	stop := make(chan struct{})
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
				time.Sleep(20 * time.Microsecond) // or who walks there has to begin again for ever
			}
		}
	})
	stopped = sync.OnceFunc(func() { close(stop); running.Wait() })
	t.Cleanup(stopped)
	return stopped
}

func rounds() int {
	if testing.Short() {
		return 5
	}
	return 20
}

// What masks is the null device or nothing is made: no link over /dev/null leads
// the mask to a file of the kernel's or the host's (CVE-2025-31133).
func TestRacedNull(t *testing.T) {
	for range rounds() {
		c := newContainer(t, true)
		dir, untouched := outside(t, c)
		c.overlayRoot(map[string]string{"etc/x": "unmasked"})
		dev := c.layer("dev", map[string]string{"pts/": "", "evil": "-> ../../../../../../../.." + dir + "/file"})
		if err := unix.Mknod(filepath.Join(dev, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		c.setup.Mounts = append(standardMounts()[:1], specs.Mount{Destination: "/dev", Source: dev, Options: []string{"rbind"}})
		c.setup.Masked = []string{"/etc/x", "/proc/keys", "/proc/timer_list"}
		exchange(t, filepath.Join(dev, "null"), filepath.Join(dev, "evil"))
		if _, err := c.tryBuild(); err == nil {
			for _, p := range c.setup.Masked {
				if r := c.must("stat", p, ""); r.Rdev != unix.Mkdev(1, 3) {
					t.Errorf("%s is masked by %+v", p, r)
				}
			}
		}
		untouched()
		c.stop()
	}
}

// Mount points, files, devices and what is masked below a shared directory stay in
// the container, whatever becomes of their parents (CVE-2025-52881, CVE-2021-30465).
func TestRacedMountPoints(t *testing.T) {
	for range rounds() {
		c := newContainer(t, true)
		dir, untouched := outside(t, c)
		c.overlayRoot(nil)
		shared := c.layer("shared", map[string]string{"dir/sub/": "", "evil": "-> /../../../../../../../.." + dir})
		volume := c.layer("volume", map[string]string{"x": "volume"})
		c.setup.Mounts = append(standardMounts(),
			specs.Mount{Destination: "/v", Source: shared, Options: []string{"rbind"}},
			specs.Mount{Destination: "/v/dir/sub", Source: volume, Options: []string{"rbind"}},
			specs.Mount{Destination: "/v/dir/dir", Type: "tmpfs", Options: []string{"tmpcopyup"}},
			specs.Mount{Destination: "/v/dir/made/deep", Source: volume, Options: []string{"rbind"}})
		c.setup.Files = []runtime.File{{Target: "/v/dir/file", Content: []byte("secret"), Mode: 0o400}}
		c.setup.Devices = []specs.LinuxDevice{{Path: "/v/dir/fuse", Type: "c", Major: 10, Minor: 229}}
		c.setup.Masked = []string{"/v/dir/dev/keep"}
		c.setup.ReadonlyPaths = []string{"/v/dir/dir"}
		exchange(t, filepath.Join(shared, "dir"), filepath.Join(shared, "evil"))
		_, _ = c.tryBuild() // may fail
		untouched()
		c.stop()
	}
}

// A subpath is opened in the volume or not at all.
func TestRacedSubpath(t *testing.T) {
	for range rounds() {
		c := newContainer(t, true)
		dir, untouched := outside(t, c)
		c.overlayRoot(nil)
		shared := c.layer("shared", map[string]string{"dir/dir/file": "volume", "evil": "-> ../../../../../../../.." + dir})
		c.setup.Mounts = []specs.Mount{{Destination: "/v", Source: shared, Options: []string{"rbind", "subpath=dir/dir"}}}
		exchange(t, filepath.Join(shared, "dir"), filepath.Join(shared, "evil"))
		if _, err := c.tryBuild(); err == nil {
			if got := c.must("list", "/v", "").Text; got != "file" {
				t.Errorf("/v shows %q", got)
			}
		}
		untouched()
		c.stop()
	}
}

// With a root directory that another container has, too, /proc is a procfs, and what
// is masked there is masked, or nothing is made.
func TestRacedProc(t *testing.T) {
	for range rounds() {
		c := newContainer(t, true)
		_, untouched := outside(t, c)
		c.setup.Path = c.layer("root", map[string]string{
			"proc/": "", "sys/": "", "dev/": "", "etc/": "", "evil": "-> /etc", "fake/keys": "fake", "fake/sys/kernel/": ""})
		c.setup.Mounts, c.setup.Masked, c.setup.ReadonlyPaths = standardMounts(), defaultMasked, defaultReadonly
		first := exchange(t, filepath.Join(c.setup.Path, "proc"), filepath.Join(c.setup.Path, "evil"))
		second := exchange(t, filepath.Join(c.setup.Path, "proc"), filepath.Join(c.setup.Path, "fake"))
		_, err := c.tryBuild()
		first()
		second()
		if err == nil {
			c.masked()
		}
		untouched()
		c.stop()
	}
}

// masked insists that a procfs is masked, wherever it ended up: the name of the
// directory below it may be another one by now.
func (c *container) masked() {
	c.t.Helper()
	for _, top := range []string{"/proc", "/evil", "/fake"} {
		if r := c.do("stat", top+"/self", ""); r.Err != "" || r.FS != unix.PROC_SUPER_MAGIC {
			continue
		}
		if keys := c.must("stat", top+"/keys", ""); keys.Rdev != unix.Mkdev(1, 3) {
			c.t.Errorf("%s/keys is %+v", top, keys)
		}
		c.refuse("write", top+"/sys/kernel/core_pattern", unix.EROFS)
	}
}

// The terminal is opened from the kernel's own multiplexer and bound by descriptor:
// no link over /dev/console or /dev/pts leads it, or its owner, elsewhere
// (CVE-2025-52565).
func TestRacedConsole(t *testing.T) {
	for range rounds() {
		c := newContainer(t, true)
		dir, untouched := outside(t, c)
		c.overlayRoot(nil)
		dev := c.layer("dev", map[string]string{"pts/": "", "console": "", "evil": "-> ../../../../../../../.." + dir + "/file"})
		if err := os.Chmod(dev, 0o777); err != nil {
			t.Fatal(err)
		}
		c.setup.Mounts = append(standardMounts()[:1], specs.Mount{Destination: "/dev", Source: dev, Options: []string{"rbind"}}, standardMounts()[2])
		c.setup.Terminal = true
		exchange(t, filepath.Join(dev, "console"), filepath.Join(dev, "evil"))
		if r, err := c.tryBuild(); err == nil {
			var st unix.Stat_t
			if err := unix.Fstat(int(r.ConsolePeer.Fd()), &st); err != nil || unix.Major(st.Rdev) < 136 || unix.Major(st.Rdev) > 143 {
				t.Errorf("the console is %+v, %v", st, err)
			}
		}
		untouched()
		c.stop()
	}
}
