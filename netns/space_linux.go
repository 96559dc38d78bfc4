package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// space is a network namespace that code can be run in.
type space struct {
	ns vnetns.NsHandle
	// id is the namespace's inode number.
	id uint64
	// here says that every thread of the process is in it already.
	here bool
}

// openSpace opens the namespace at path.
func openSpace(path string) (*space, error) {
	ns, err := vnetns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open network namespace %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(ns), &st); err != nil {
		ns.Close()
		return nil, fmt.Errorf("cannot open network namespace %s: %w", path, err)
	}
	return &space{ns: ns, id: st.Ino}, nil
}

func (s *space) Close() error { return s.ns.Close() }

// openContainer opens the network namespace of a container's process, which
// must not be the host's: a recycled pid would put a container's link there.
func (h *Host) openContainer(pid int) (*space, error) {
	s, err := openSpace(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	if s.id == h.space.id || s.id == h.home.id {
		s.Close()
		return nil, fmt.Errorf("process %d is in the host's network namespace", pid)
	}
	return s, nil
}

// run calls fn on a thread that is in the namespace. The thread goes back
// afterwards, or dies when it cannot.
func (h *Host) run(s *space, fn func() error) error {
	if s.here {
		return fn()
	}
	done := make(chan error)
	offMain(func() {
		if err := vnetns.Set(s.ns); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("cannot enter network namespace: %w", err)
			return
		}
		err := fn()
		if vnetns.Set(h.home.ns) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	})
	return <-done
}

// offMain starts fn on a locked thread, which dies with fn unless fn unlocks it.
// It is never the main thread: that one cannot die, and /proc/self shows its
// namespaces as the process's.
func offMain(fn func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			fn()
			return
		}
		started := make(chan struct{})
		go func() { // elsewhere, while this goroutine occupies the main thread
			runtime.LockOSThread()
			close(started)
			fn()
		}()
		<-started
		runtime.UnlockOSThread()
	}()
}

// readSysctl and writeSysctl act in the calling thread's network namespace;
// /proc/sys/net shows that of the task that opens it.
func readSysctl(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return "", fmt.Errorf("cannot read sysctl: %w", err)
	}
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return string(b), nil
}

func writeSysctl(name, value string) error {
	f, err := os.OpenFile(filepath.Join("/proc/sys", name), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot set sysctl: %w", err)
	}
	_, err = f.WriteString(value)
	f.Close()
	if err != nil {
		return fmt.Errorf("cannot set sysctl %s to %s: %w", name, value, err)
	}
	return nil
}

// ensureSysctl writes only when the value differs.
func ensureSysctl(name, value string) error {
	if have, err := readSysctl(name); err == nil && have == value {
		return nil
	}
	return writeSysctl(name, value)
}
