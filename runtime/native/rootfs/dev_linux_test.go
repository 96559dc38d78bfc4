package rootfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Root without CAP_MKNOD gets the host's nodes bound, and leaves them alone.
func TestDevicesWithoutMknod(t *testing.T) {
	needRoot(t)
	dir := tempDir(t)
	hostNode := filepath.Join(dir, "host")
	if err := unix.Mknod(hostNode, unix.S_IFCHR|0o640, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := hostStat(t, hostNode)
	err := throwAway(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := (&builder{}).isolate(); err != nil {
			return err
		}
		if err := dropMknod(); err != nil {
			return err
		}
		fd, err := openat(unix.AT_FDCWD, filepath.Join(dir, "dev"), unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		bound, err := makeNode(fd, "null", unix.S_IFCHR|0o666, unix.Mkdev(1, 3), hostNode)
		if err != nil || !bound {
			t.Errorf("bound %v, error %v", bound, err)
		}
		if _, err := makeNode(fd, "zero", unix.S_IFCHR|0o666, unix.Mkdev(1, 5), hostNode); err == nil {
			t.Error("bound a device of another number")
		}
		null, err := openat(fd, "null", unix.O_PATH, 0)
		if err != nil {
			return err
		}
		defer unix.Close(null)
		return checkNode(null, unix.S_IFCHR, unix.Mkdev(1, 3))
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := hostStat(t, hostNode); after.Mode != before.Mode || after.Ctim != before.Ctim {
		t.Error("the host's node was changed")
	}
}

func dropMknod() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return err
	}
	caps[0].Effective &^= 1 << unix.CAP_MKNOD
	return unix.Capset(&header, &caps[0])
}
