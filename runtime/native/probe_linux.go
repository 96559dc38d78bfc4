package native

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/native/cgroup"
	"stack/runtime/native/rootfs"
)

// Facts are what a machine offers containers: for `doctor`. An error says that
// something does not work, or could not be found out.
type Facts struct {
	Kernel string
	// Host is where control groups are.
	Host      *cgroup.Host
	CgroupErr error
	// UserNS is a try to make a user namespace with a range of ids.
	UserNS error
	// IDMap is a try to mount a directory id-mapped, by directory. Without user
	// namespaces it is empty.
	IDMap map[string]error
	// Overlay is a try to keep an overlay's changes in the state directory.
	Overlay error
	// Seccomp says whether the kernel filters system calls.
	Seccomp bool
	// SysResource and SysAdmin say whether this process has the capability.
	SysResource, SysAdmin bool
	// MemfdNoexec is vm.memfd_noexec, -1 where the kernel has no such setting.
	MemfdNoexec int
	// InotifyInstances and InotifyWatches are the limits per user, -1 if unknown.
	InotifyInstances, InotifyWatches int
	// Free is the room on the state's file system in bytes, Size its size.
	Free, Size    uint64
	FreeFiles     uint64 // inodes; 0 together with Files on file systems without a limit
	Files         uint64
	FileSystemErr error
}

// Probe finds the facts out. state is the state directory, or the nearest one
// above it that exists; layers are directories to be mounted id-mapped. Nothing
// stays behind.
func Probe(state string, layers ...string) Facts {
	f := Facts{
		IDMap: map[string]error{}, MemfdNoexec: sysctlNumber("vm/memfd_noexec"),
		InotifyInstances: sysctlNumber("fs/inotify/max_user_instances"), InotifyWatches: sysctlNumber("fs/inotify/max_user_watches"),
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		f.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	f.Host, f.CgroupErr = cgroup.Detect()
	f.SysResource, f.SysAdmin = has(unix.CAP_SYS_RESOURCE), has(unix.CAP_SYS_ADMIN)
	f.Seccomp = seccompWorks()
	f.Overlay = rootfs.ProbeOverlay(state)
	f.userNamespace(layers)
	f.disk(state)
	return f
}

// probeIDs is a range like those of stacks.
const probeIDs = 0x6fff0000

func (f *Facts) userNamespace(layers []string) {
	ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: probeIDs, Size: 65536}}
	ns, err := rootfs.NewUserNamespace(ids, ids)
	if f.UserNS = err; err != nil {
		return
	}
	defer ns.Close()
	for _, dir := range layers {
		f.IDMap[dir] = rootfs.ProbeIDMap(dir, ns)
	}
}

func (f *Facts) disk(state string) {
	var st unix.Statfs_t
	if f.FileSystemErr = unix.Statfs(state, &st); f.FileSystemErr != nil {
		return
	}
	f.Free, f.Size = st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize)
	f.FreeFiles, f.Files = st.Ffree, st.Files
}

// has says whether this thread has a capability now.
func has(bit int) bool {
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && mask&(1<<bit) != 0
		}
	}
	return false
}

// seccompWorks asks with arguments that the kernel refuses: EFAULT is a kernel
// that knows filters (seccomp(2), "Checking whether…").
func seccompWorks() bool {
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, 0, 0, 0)
	return errors.Is(err, unix.EFAULT)
}

// sysctlNumber reads a setting, -1 if there is none.
func sysctlNumber(name string) int {
	text, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return n
}

// TotalMemory is the machine's memory in bytes, 0 if unknown.
func TotalMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// Missing lists the controllers without which a limit of a stack file cannot be
// kept.
func (f Facts) Missing() []string {
	if f.Host == nil {
		return nil
	}
	have := strings.Join(f.Host.Controllers(), " ") + " "
	var out []string
	for _, c := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !strings.Contains(" "+have, " "+c+" ") {
			out = append(out, c)
		}
	}
	if !strings.Contains(" "+have, " io ") && !strings.Contains(" "+have, " blkio ") {
		out = append(out, "io")
	}
	return out
}

// KernelAtLeast compares the release's first two numbers.
func (f Facts) KernelAtLeast(major, minor int) bool {
	var a, b int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &a, &b); n != 2 {
		return false
	}
	return a > major || a == major && b >= minor
}
