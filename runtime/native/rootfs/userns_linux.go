package rootfs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxNamespaces bounds what UserNamespaces keeps open.
const maxNamespaces = 64

// UserNamespaces keeps user namespaces by their mapping, because making one
// costs a fork. The zero value is ready; it is safe for concurrent use.
type UserNamespaces struct {
	mu    sync.Mutex
	known map[string]*os.File
}

// Get returns a user namespace with these mappings; the caller closes it.
func (u *UserNamespaces) Get(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := fmt.Sprint(uids, gids)
	ns, ok := u.known[key]
	if !ok {
		var err error
		if ns, err = NewUserNamespace(uids, gids); err != nil {
			return nil, err
		}
		u.remember(key, ns)
	}
	fd, err := unix.FcntlInt(ns.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate a user namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), ns.Name()), nil
}

func (u *UserNamespaces) remember(key string, ns *os.File) {
	if u.known == nil {
		u.known = map[string]*os.File{}
	}
	for other, old := range u.known {
		if len(u.known) < maxNamespaces {
			break
		}
		old.Close()
		delete(u.known, other)
	}
	u.known[key] = ns
}

// Close forgets every namespace. Mounts that use them keep them alive.
func (u *UserNamespaces) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var errs []error
	for _, ns := range u.known {
		errs = append(errs, ns.Close())
	}
	u.known = nil
	return errors.Join(errs...)
}

// NewUserNamespace makes a user namespace that no process lives in; the caller
// closes it. It forks a child that the tracing stop holds before its first
// instruction, and kills it. syscall.ForkExec, not os/exec: that one's first
// use probes pidfds with a child of its own. Whoever waits for any child in this
// process may see the stop and the end of one that it does not know.
func NewUserNamespace(uids, gids []specs.LinuxIDMapping) (*os.File, error) {
	runtime.LockOSThread() // a traced child runs on when its tracer's thread ends
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"userns"}, &syscall.ProcAttr{
		Files: []uintptr{},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: systemMappings(uids), GidMappings: systemMappings(gids),
			Ptrace:    true,
			Pdeathsig: syscall.SIGKILL,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make a user namespace: %w", err)
	}
	defer reap(pid)
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return nil, fmt.Errorf("cannot open the new user namespace: %w", err)
	}
	return ns, nil
}

// reap kills the child and waits for it. ECHILD is fine: a reaper of orphans
// in the same process may have been faster.
func reap(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, unix.WALL, nil)
		if err == nil && !status.Exited() && !status.Signaled() || errors.Is(err, syscall.EINTR) {
			continue
		}
		return
	}
}

func systemMappings(m []specs.LinuxIDMapping) []syscall.SysProcIDMap {
	var out []syscall.SysProcIDMap
	for _, r := range m {
		out = append(out, syscall.SysProcIDMap{
			ContainerID: int(r.ContainerID), HostID: int(r.HostID), Size: int(r.Size),
		})
	}
	return out
}
