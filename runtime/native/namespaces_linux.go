package native

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// joined is an existing namespace that a container shares.
type joined struct {
	flag int
	file *os.File
}

// namespaces says which ones a container gets.
type namespaces struct {
	fresh  uintptr // CLONE_NEW* flags of those made for it
	joined []joined
}

// openNamespaces sorts the specification's namespaces. A path that leads to the
// calling process's own namespace means none. The caller closes the result.
func openNamespaces(list []specs.LinuxNamespace) (namespaces, error) {
	var n namespaces
	for _, one := range list {
		flag, err := namespaceFlag(one)
		if err == nil && n.all()&uintptr(flag) != 0 {
			err = fmt.Errorf("namespace %q is given twice", one.Type)
		}
		if err == nil && one.Path == "" {
			n.fresh |= uintptr(flag)
			continue
		}
		if err == nil {
			err = n.join(flag, one)
		}
		if err != nil {
			n.close()
			return namespaces{}, err
		}
	}
	if n.all()&unix.CLONE_NEWNS == 0 {
		n.close()
		return namespaces{}, fmt.Errorf("a container without a mount namespace is not supported")
	}
	return n, nil
}

func namespaceFlag(one specs.LinuxNamespace) (int, error) {
	switch one.Type {
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID, nil
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET, nil
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC, nil
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS, nil
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER, nil
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP, nil
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME, nil
	case specs.MountNamespace:
		return unix.CLONE_NEWNS, nil
	}
	return 0, fmt.Errorf("unknown type of namespace %q", one.Type)
}

func (n *namespaces) join(flag int, one specs.LinuxNamespace) error {
	f, err := os.Open(one.Path)
	if err != nil {
		return fmt.Errorf("cannot open %s namespace: %w", one.Type, err)
	}
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || kind != flag {
		f.Close()
		return fmt.Errorf("%q is not a namespace of type %s", one.Path, one.Type)
	}
	own, err := ownNamespace(f, one.Type)
	if err != nil || own {
		f.Close()
		return err
	}
	n.joined = append(n.joined, joined{flag, f})
	return nil
}

// ownNamespace says whether f is the calling process's own.
func ownNamespace(f *os.File, kind specs.LinuxNamespaceType) (bool, error) {
	name := string(kind)
	switch kind {
	case specs.NetworkNamespace:
		name = "net"
	case specs.MountNamespace:
		name = "mnt"
	}
	theirs, err := f.Stat()
	if err != nil {
		return false, err
	}
	ours, err := os.Stat("/proc/self/ns/" + name)
	if err != nil {
		return false, fmt.Errorf("cannot inspect own %s namespace: %w", kind, err)
	}
	return os.SameFile(theirs, ours), nil
}

// all are the flags of every namespace that is not the creator's.
func (n *namespaces) all() uintptr {
	flags := n.fresh
	for _, j := range n.joined {
		flags |= uintptr(j.flag)
	}
	return flags
}

// user is the user namespace to join, or nil.
func (n *namespaces) user() *os.File {
	for _, j := range n.joined {
		if j.flag == unix.CLONE_NEWUSER {
			return j.file
		}
	}
	return nil
}

// time is the path of the time namespace to join, or empty.
func (n *namespaces) time() string {
	for _, j := range n.joined {
		if j.flag == unix.CLONE_NEWTIME {
			return j.file.Name()
		}
	}
	return ""
}

// needThread says whether there is something for enter to do.
func (n *namespaces) needThread() bool {
	return slices.ContainsFunc(n.joined, func(j joined) bool { return !j.byProcess() })
}

// byProcess says that only a process without threads may join.
func (j joined) byProcess() bool { return j.flag == unix.CLONE_NEWUSER || j.flag == unix.CLONE_NEWTIME }

// enter moves the calling thread into the joined namespaces, except those that
// only a process without threads may join. A mount
// namespace that is joined gets the container's root as its own: what else lives
// in it moves there, too.
func (n *namespaces) enter() error {
	for _, j := range n.joined {
		if j.byProcess() {
			continue
		}
		if j.flag == unix.CLONE_NEWNS {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("cannot unshare the thread's directories: %w", err)
			}
		}
		if err := unix.Setns(int(j.file.Fd()), j.flag); err != nil {
			return fmt.Errorf("cannot join namespace %q: %w", j.file.Name(), err)
		}
	}
	return nil
}

func (n *namespaces) close() {
	for _, j := range n.joined {
		j.file.Close()
	}
	n.joined = nil
}

// timeOffsets is what to write to /proc/PID/timens_offsets for a time namespace.
func timeOffsets(offsets map[string]specs.LinuxTimeOffset, fresh uintptr) (string, error) {
	if len(offsets) > 0 && fresh&unix.CLONE_NEWTIME == 0 {
		return "", errors.New("offsets of clocks without a new time namespace")
	}
	var b strings.Builder
	for _, clock := range slices.Sorted(maps.Keys(offsets)) {
		if clock != "monotonic" && clock != "boottime" {
			return "", fmt.Errorf("a time namespace has no clock %q", clock)
		}
		fmt.Fprintf(&b, "%s %d %d\n", clock, offsets[clock].Secs, offsets[clock].Nanosecs)
	}
	return b.String(), nil
}
