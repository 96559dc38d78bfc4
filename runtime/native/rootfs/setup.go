package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// Target is the waiting first process of a container.
type Target struct {
	// Pid is the process in whose mount namespace the root is made.
	Pid int
	// Special holds, by OCI mount type (proc, sysfs, mqueue, cgroup), detached
	// mounts that the process made inside its own namespaces. cgroup is needed
	// on cgroup v2 only.
	Special map[string]*os.File
	// Collect, when set, gives what Special is to be when it is needed first, so that
	// the process may be making it meanwhile. The caller closes them.
	Collect func() (map[string]*os.File, error)
}

// Setup is what Build makes.
type Setup struct {
	// Root is put together from layers; when it is zero, Path is a directory
	// used as it is. With a user namespace, a Path whose owner lies outside the
	// container's range is id-mapped.
	Root        runtime.RootFS
	Path        string
	Readonly    bool
	Propagation string // of the root mount, as in the OCI specification; "" is rprivate
	// Mounts are done in order. Beyond the options of mount(8), the OCI
	// specification and tmpcopyup: subpath=P opens P inside a bind's source.
	Mounts []specs.Mount
	Files  []runtime.File
	// Devices are made beside the standard ones, except when /dev is a bind.
	Devices               []specs.LinuxDevice
	Masked, ReadonlyPaths []string
	UIDs, GIDs            []specs.LinuxIDMapping
	UserNS                *os.File // nil: no user namespace
	User                  specs.User
	Terminal              bool
	ConsoleSize           *specs.Box
	// Cgroups, on v1 and hybrid hosts, leads from controller ("memory",
	// "name=systemd", "cpu,cpuacct", "" for the unified one) to the host path of
	// the container's own cgroup. Empty: the Special of type cgroup is used.
	Cgroups map[string]string
	// Namespaces, when set, keeps the user namespaces of id-mapped binds for
	// further containers.
	Namespaces *UserNamespaces
	// Lowers, when set, keeps the layers' mounts for further containers.
	Lowers *Lowers

	// NoPivot covers the host's tree instead of dropping it. The first process must
	// change its root to "/.." itself.
	NoPivot bool
	// OneThread does without a thread to throw away, see visit.
	OneThread bool
	// Staged, when set, is called when everything is in place, before the pivot, on
	// the thread that works in the container's mount namespace: with the host's root,
	// and the container's attached at Path, if that is given, so that OCI hooks find
	// it there.
	Staged func(context.Context) error

	oldKernel bool // tests: do as on a kernel before 6.15
}

// Result is what Build hands back.
type Result struct {
	// Console is the terminal's master and ConsolePeer the container's side,
	// when a terminal was asked for. The caller closes both.
	Console, ConsolePeer *os.File
	// Unfinished are files with an Append, to be closed by Finish.
	Unfinished []Unfinished
	// Warnings tell what this machine could not do as asked.
	Warnings []string
}

// Unfinished is a file of the container whose end is not known yet.
type Unfinished struct {
	file *os.File
	rest func() []byte
}

// Finish writes the rest of the unfinished files, unless err is set, and closes
// them.
func (r *Result) Finish(err error) error {
	for _, u := range r.Unfinished {
		if err == nil {
			if _, err = u.file.Write(u.rest()); err != nil {
				err = fmt.Errorf("cannot write file %q: %w", u.file.Name(), err)
			}
		}
		u.file.Close()
	}
	r.Unfinished = nil
	return err
}

// ErrNoIDMap says that a file system cannot be mounted id-mapped.
var ErrNoIDMap = errors.New("file system does not support id-mapped mounts")

// IDMapError names the directory that cannot be mounted id-mapped. It matches
// ErrNoIDMap and the kernel's own error.
type IDMapError struct {
	Source string
	Err    error
}

func (e *IDMapError) Error() string {
	return fmt.Sprintf("cannot id-map %q: %v (%v)", e.Source, ErrNoIDMap, e.Err)
}

func (e *IDMapError) Unwrap() []error { return []error{ErrNoIDMap, e.Err} }
