package transfer

import (
	"archive/tar"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// To us, in another mount namespace, a name over which the container has a mount is
// an ordinary one: a rename onto it would take the container's mount away.
func TestCopyLeavesMounts(t *testing.T) {
	for name, entry := range map[string]tar.Header{
		"file":      file("etc/hosts"),
		"link":      symlink("etc/hosts", "/x"),
		"hard link": hardLink("etc/hosts", "first"),
		"FIFO":      {Typeflag: tar.TypeFifo, Name: "etc/hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			r, root := box(t)
			hosts := filepath.Join(root, "etc/hosts")
			write(t, hosts, "below")
			chownAll(t, root)
			mountedElsewhere(t, hosts)
			target, err := r.Directory("/")
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			err = target.Unpack(context.Background(), archive(t, file("first"), entry), UnpackOptions{})
			if err == nil || !strings.Contains(err.Error(), "something is mounted there") {
				t.Errorf("got %v", err)
			}
			if got := tree(t, root); got != "etc/ etc/hosts=mounted first=first" {
				t.Errorf("there is %q", got)
			}
		})
	}
}

func TestTargetIsAMount(t *testing.T) {
	r, root := box(t)
	hosts := filepath.Join(root, "etc/hosts")
	write(t, hosts, "below")
	mountedElsewhere(t, hosts)
	for _, name := range []string{"/etc/hosts", "/etc"} {
		target, err := r.Target(name, &Source{Base: "hosts"})
		if err == nil {
			target.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "/etc/hosts: something is mounted there") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// mountedElsewhere mounts a file over name. The renames of Unpack are done by a
// thread in the same mount namespace, where the kernel refuses them by itself: EBUSY
// must not be what the test sees.
func mountedElsewhere(t *testing.T, name string) {
	t.Helper()
	over := filepath.Join(t.TempDir(), "over")
	write(t, over, "mounted")
	if err := unix.Mount(over, name, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(name, unix.MNT_DETACH) })
}

// chownAll gives a tree to the container's root.
func chownAll(t *testing.T, dir string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, idBase, idBase)
	})
	if err != nil {
		t.Fatal(err)
	}
}
