package rootfs

import (
	"errors"
	"os"
	goruntime "runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that visited another mount namespace, with another root, is where it was.
func TestVisit(t *testing.T) {
	needRoot(t)
	goruntime.LockOSThread() // not unlocked: the thread no longer shares its directories
	dir := t.TempDir()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	unix.Umask(0o27)
	before := whereabouts(t)
	reason := errors.New("a reason")
	err := visit(func() error {
		for _, err := range []error{
			unix.Unshare(unix.CLONE_NEWNS), unix.Chroot(dir), unix.Chdir("/"), createAs(1000, 1001),
		} {
			if err != nil {
				return err
			}
		}
		return reason
	})
	if !errors.Is(err, reason) {
		t.Errorf("visit: %v", err)
	}
	if now := whereabouts(t); now != before {
		t.Errorf("the thread is at\n%+v, it was at\n%+v", now, before)
	}
}

// place is what a thread may change about itself.
type place struct {
	namespace, root, dir string
	umask, uid, gid      int
}

func whereabouts(t *testing.T) (p place) {
	t.Helper()
	for name, to := range map[string]*string{"ns/mnt": &p.namespace, "root": &p.root, "cwd": &p.dir} {
		var err error
		if *to, err = os.Readlink("/proc/thread-self/" + name); err != nil {
			t.Fatal(err)
		}
	}
	p.umask = unix.Umask(0)
	unix.Umask(p.umask)
	p.uid, _ = unix.SetfsuidRetUid(-1)
	p.gid, _ = unix.SetfsgidRetGid(-1)
	return p
}
