package rootfs

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestPeerMount: two containers see one /dev/shm, with or without user namespaces.
func TestPeerMount(t *testing.T) {
	both(t, func(t *testing.T, userNS bool) {
		peer := newContainer(t, userNS)
		peer.overlayRoot(nil)
		peer.setup.Mounts = standardMounts()
		peer.build()
		c := newContainer(t, userNS)
		c.overlayRoot(nil)
		c.setup.Mounts = append(standardMounts(), specs.Mount{
			Destination: "/dev/shm", Type: "bind", Options: []string{"rbind", "nosuid", "noexec", "nodev"},
			Source: "/proc/" + itoa(peer.target.Pid) + "/root/dev/shm",
		})
		c.build()
		peer.must("write", "/dev/shm/from", "peer")
		if got := c.read("/dev/shm/from"); got != "peer" {
			t.Errorf("read %q", got)
		}
		c.must("write", "/dev/shm/from", "the other")
		if got := peer.read("/dev/shm/from"); got != "the other" {
			t.Errorf("read %q", got)
		}
	})
}

// TestPeerLinkIsNotFollowed: a program that replaces its own directory by a link
// would have its neighbour mount what the host has there.
func TestPeerLinkIsNotFollowed(t *testing.T) {
	peer := newContainer(t, true)
	peer.overlayRoot(map[string]string{"abs": "-> /etc", "up": "-> ../../../etc", "dir/": ""})
	peer.setup.Mounts = standardMounts()
	peer.build()
	c := newContainer(t, true)
	c.overlayRoot(nil)
	for _, inside := range []string{"abs", "up", "abs/ssl", "dir/../abs", "proc/self/root/etc"} {
		fd, err := cloneInside(peer.target.Pid, inside, true)
		if err == nil {
			unix.Close(fd)
			t.Errorf("%s was cloned", inside)
		}
	}
	if fd, err := cloneInside(peer.target.Pid, "../../dir", true); err != nil {
		t.Error("above the root is the root: ", err)
	} else {
		unix.Close(fd)
	}
}

func TestPeerSource(t *testing.T) {
	for source, want := range map[string]string{
		"/proc/12/root/dev/shm": "dev/shm", "//proc/12//root/a": "a", "/proc/12/root": "", "/proc/self/root/a": "",
		"/proc/0/root/a": "", "/proc/12/cwd/a": "", "/data/proc/12/root/a": "", "/proc/12/root/../fd": "",
	} {
		_, inside, ok := peerSource(source)
		if ok != (want != "") || ok && inside != want {
			t.Errorf("%s: %q, %v", source, inside, ok)
		}
	}
}
