package rootfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountOf is the identity of the mount that the layer is opened as.
func mountOf(t *testing.T, k *Lowers, dir string, s *Setup) uint64 {
	t.Helper()
	l, err := k.open(dir, s, s.UserNS != nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l.fd)
	return mountID(t, l.fd)
}

func mountID(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mnt_id
}

func TestLowersAreShared(t *testing.T) {
	needRoot(t)
	k := new(Lowers)
	defer k.Close()
	dir := filepath.Join(tempDir(t), "layer")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	one := mappedSetup(t, rangeStart)
	first := mountOf(t, k, dir, one)
	if again := mountOf(t, k, dir, mappedSetup(t, rangeStart)); again != first {
		t.Error("two containers with one mapping have two mounts of a layer")
	}
	if other := mountOf(t, k, dir, mappedSetup(t, rangeStart+rangeSize)); other == first {
		t.Error("containers with different mappings share the mount of a layer")
	}
	if plain := mountOf(t, k, dir, &Setup{}); plain == first {
		t.Error("a container without a user namespace gets an id-mapped layer")
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if mountOf(t, k, dir, one) == first {
		t.Error("the layer is another directory by now, and the old one is shown")
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	before := k.Kept()
	if mountOf(t, k, dir, &Setup{}); k.Kept() != before+1 {
		t.Error("the layer is mounted over by now, and what lies below is shown")
	}
}

func mappedSetup(t *testing.T, start uint32) *Setup {
	t.Helper()
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: start, Size: 10}}
	ns, err := NewUserNamespace(ids, ids)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return &Setup{UserNS: ns, UIDs: ids, GIDs: ids}
}

// A layer that nobody used for a while keeps no file system busy.
func TestLowersExpire(t *testing.T) {
	needRoot(t)
	k := new(Lowers)
	mountOf(t, k, tempDir(t), &Setup{})
	deadline := time.Now().Add(10 * lowersLife)
	for ; k.Kept() > 0; time.Sleep(lowersLife / 10) {
		if time.Now().After(deadline) {
			t.Fatal("the layer is kept forever")
		}
	}
}

// Overlays go on when the layers' mounts are let go of, also on kernels where layers
// have to be attached to be used.
func TestContainersShareLowers(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		for _, old := range []bool{false, true} {
			k := new(Lowers)
			first, second := newContainer(t, userNS), newContainer(t, userNS)
			first.overlayRoot(map[string]string{"file": "from the layer"})
			second.overlayRoot(nil)
			second.setup.Root.Lowers = first.setup.Root.Lowers
			for _, c := range []*container{first, second} {
				c.setup.oldKernel, c.setup.Lowers, c.setup.Mounts = old, k, standardMounts()
				c.build()
			}
			k.Close()
			for _, c := range []*container{first, second} {
				if got := c.read("/file"); got != "from the layer" {
					t.Errorf("old kernel %v: got %q", old, got)
				}
			}
		}
	})
}
