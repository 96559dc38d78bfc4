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

// visit runs f on the calling thread, which f may move into another mount namespace
// and give other ids for creating files, and takes the thread back afterwards. It
// spares the changes of thread that throwAway costs. In exchange, the thread no longer
// shares its root, working directory and umask with the process's others: it is for
// processes that do not change them later.
func visit(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := leaveHome()
	if err != nil {
		return err
	}
	defer h.close()
	err = f()
	if lost := h.comeBack(); lost != nil {
		// It cannot happen, see leaveHome; every path would lead into the container.
		panic(fmt.Sprintf("lost in a container: %v", lost))
	}
	return err
}

// home is where a thread is before it visits another mount namespace.
type home struct {
	namespace, root, dir int
	umask, uid, gid      int
}

// leaveHome prepares the calling thread for a visit. That it may join the namespace
// it comes from is tried out here, since there is no other way back.
func leaveHome() (home, error) {
	h := home{namespace: -1, root: -1, dir: -1}
	for _, one := range []struct {
		fd    *int
		name  string
		flags int
	}{
		{&h.namespace, "/proc/thread-self/ns/mnt", unix.O_RDONLY},
		{&h.root, "/", unix.O_PATH | unix.O_DIRECTORY},
		{&h.dir, ".", unix.O_PATH | unix.O_DIRECTORY},
	} {
		var err error
		if *one.fd, err = openat(unix.AT_FDCWD, one.name, one.flags, 0); err != nil {
			h.close()
			return h, fmt.Errorf("cannot open %q to come back to: %w", one.name, err)
		}
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		h.close()
		return h, fmt.Errorf("cannot unshare the thread's directories: %w", err)
	}
	h.umask = unix.Umask(0)
	h.uid, _ = unix.SetfsuidRetUid(-1) // fails and tells
	h.gid, _ = unix.SetfsgidRetGid(-1)
	if err := h.comeBack(); err != nil {
		h.close()
		return h, err
	}
	return h, nil
}

// comeBack moves the calling thread to where it was.
func (h home) comeBack() error {
	unix.Setfsgid(h.gid)
	unix.Setfsuid(h.uid)
	if now, _ := unix.SetfsuidRetUid(-1); now != h.uid {
		return fmt.Errorf("cannot create files as %d again", h.uid)
	}
	if err := unix.Setns(h.namespace, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot join the mount namespace: %w", err)
	}
	if err := unix.Fchdir(h.root); err != nil {
		return fmt.Errorf("cannot enter the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("cannot change the root: %w", err)
	}
	if err := unix.Fchdir(h.dir); err != nil {
		return fmt.Errorf("cannot enter the working directory: %w", err)
	}
	unix.Umask(h.umask)
	return nil
}

func (h home) close() {
	for _, fd := range []int{h.namespace, h.root, h.dir} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
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
