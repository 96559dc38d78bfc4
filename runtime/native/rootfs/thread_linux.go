package rootfs

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// throwAway runs f on an operating system thread that is never used again, so
// that f may change what belongs to a thread: namespaces, working directory,
// credentials. The main thread is not taken: it outlives its goroutine and
// would keep the namespace alive.
func throwAway(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- throwAway(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// join moves the calling thread into a mount namespace. Root and working
// directory become that namespace's root.
func join(namespace int) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("cannot unshare the thread's directories: %w", err)
	}
	if err := unix.Setns(namespace, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot join the container's mount namespace: %w", err)
	}
	unix.Umask(0)
	return nil
}

// createAs makes the calling thread create files as uid and gid while it keeps
// every capability. Id-mapped mounts refuse creation by an id that they do not
// map, and the host's root is such an id.
func createAs(uid, gid uint32) error {
	if uid == 0 && gid == 0 {
		return nil
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("cannot read capabilities: %w", err)
	}
	// Both calls answer with the former id and never fail: ask again.
	unix.Setfsgid(int(gid))
	unix.Setfsuid(int(uid))
	nowGID, _ := unix.SetfsgidRetGid(-1)
	nowUID, _ := unix.SetfsuidRetUid(-1)
	if uint32(nowUID) != uid || uint32(nowGID) != gid {
		return fmt.Errorf("cannot create files as %d:%d", uid, gid)
	}
	if err := unix.Capset(&header, &caps[0]); err != nil { // setfsuid took some
		return fmt.Errorf("cannot keep capabilities: %w", err)
	}
	return nil
}

// createAsRoot takes createAs back, with the capabilities it kept.
func createAsRoot() error {
	unix.Setfsgid(0)
	unix.Setfsuid(0)
	if now, _ := unix.SetfsuidRetUid(-1); now != 0 {
		return errors.New("cannot create files as root again")
	}
	return nil
}
