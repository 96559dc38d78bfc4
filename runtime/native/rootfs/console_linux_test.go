package rootfs

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
)

func TestConsole(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(nil)
		c.setup.Mounts = standardMounts()
		c.setup.Terminal, c.setup.ConsoleSize = true, &specs.Box{Width: 132, Height: 43}
		c.setup.User = specs.User{UID: 1000, GID: 1000}
		r := c.build()
		for _, path := range []string{"/dev/console", "/dev/pts/0"} {
			s := c.must("stat", path, "")
			if s.UID != 1000 || s.GID != 5 || s.Mode != unix.S_IFCHR|0o620 {
				t.Errorf("%s is %d:%d %o", path, s.UID, s.GID, s.Mode)
			}
		}
		if got := c.must("tty", "/dev/console", "hello").Text; got != "132x43" {
			t.Errorf("size %s", got)
		}
		buf := make([]byte, 16)
		if n, err := r.Console.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Errorf("the master read %q, %v", buf[:n], err)
		}
		if _, err := unix.IoctlGetTermios(int(r.ConsolePeer.Fd()), unix.TCGETS); err != nil {
			t.Errorf("the peer is no terminal: %v", err)
		}
		if host := hostStat(t, "/dev/pts"); c.must("stat", "/dev/pts", "").Dev == host.Dev {
			t.Error("the container sees the host's terminals")
		}
	})
}

func TestConsoleWithImpliedMounts(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Terminal = true
	c.build()
	if r := c.must("stat", "/dev/console", ""); r.UID != 0 || r.Mode&unix.S_IFMT != unix.S_IFCHR {
		t.Errorf("/dev/console is %+v", r)
	}
}

func TestDevices(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(nil)
		mode, uid, gid := os.FileMode(0o640), uint32(11), uint32(12)
		c.setup.Devices = []specs.LinuxDevice{
			{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229},
			{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, FileMode: &mode, UID: &uid, GID: &gid},
			{Path: "/dev/null", Type: "c", Major: 1, Minor: 3},
			{Path: "/dev/sda", Type: "b", Major: 8, Minor: 0, FileMode: &mode},
		}
		c.build()
		if r := c.must("stat", "/dev/fuse", ""); r.Rdev != unix.Mkdev(10, 229) || r.Mode != unix.S_IFCHR|0o666 || r.UID != 0 {
			t.Errorf("/dev/fuse is %+v", r)
		}
		if r := c.must("stat", "/dev/net/tun", ""); r.Rdev != unix.Mkdev(10, 200) || r.Mode != unix.S_IFCHR|0o640 || r.UID != 11 || r.GID != 12 {
			t.Errorf("/dev/net/tun is %+v", r)
		}
		if r := c.must("stat", "/dev/sda", ""); r.Rdev != unix.Mkdev(8, 0) || r.Mode != unix.S_IFBLK|0o640 {
			t.Errorf("/dev/sda is %+v", r)
		}
	})
}

func TestConflictingDeviceIsAnError(t *testing.T) {
	c := newContainer(t, true)
	c.overlayRoot(nil)
	c.setup.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 1}}
	if _, err := c.tryBuild(); err == nil {
		t.Error("/dev/null was given away")
	}
}

func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		c := newContainer(t, userNS)
		c.overlayRoot(map[string]string{"etc/config": "image"})
		c.setup.Mounts = []specs.Mount{{Destination: "/run", Type: "tmpfs"}}
		big := make([]byte, 3<<20)
		c.setup.Files = []runtime.File{
			{Target: "/run/secrets/key", Content: []byte("secret"), UID: 5, GID: 6, Mode: 0o400},
			{Target: "/etc/config", Content: []byte("ours"), Mode: 0o444},
			{Target: "/etc/hosts", Content: []byte("hosts"), Mode: 0o644, Writable: true},
			{Target: "/etc/big", Content: big, Mode: 0o644},
			{Target: "/etc/empty", Mode: 0o600},
		}
		c.build()
		if got := c.read("/run/secrets/key"); got != "secret" {
			t.Errorf("read %q", got)
		}
		r := c.must("stat", "/run/secrets/key", "")
		if r.UID != 5 || r.GID != 6 || r.Mode&0o7777 != 0o400 || r.FS != unix.TMPFS_MAGIC {
			t.Errorf("the secret is %+v", r)
		}
		if got := c.read("/etc/config"); got != "ours" {
			t.Errorf("read %q", got)
		}
		c.refuse("write", "/etc/config", unix.EROFS)
		c.must("write", "/etc/hosts", "changed")
		if got := c.read("/etc/big"); len(got) != len(big) {
			t.Errorf("read %d bytes", len(got))
		}
		if data, _ := os.ReadFile(c.setup.Root.Upper + "/run/secrets/key"); data != nil {
			t.Errorf("the secret is on disk: %q", data)
		}
	})
}
