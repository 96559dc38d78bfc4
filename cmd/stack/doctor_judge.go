package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"

	"stack/netns"
	"stack/runtime/native"
	"stack/runtime/native/rootfs"
)

// evidence is all that doctor found out.
type evidence struct {
	uid     int
	args    []string
	state   string // the state directory, or the nearest one above it
	shim    error
	native  native.Facts
	network netns.Facts
}

// judge says of each thing whether it is well and what to do. It is pure.
func judge(e evidence) []finding {
	var out []finding
	for _, check := range []func(evidence) finding{
		judgeRoot, judgeShim, judgeKernel, judgeCgroups, judgeUserNS, judgeIDMap, judgeOverlay, judgeSeccomp, judgeMemfd,
		judgeSysResource, judgeNftables, judgeBridge, judgeForward, judgeBridgeFilter, judgeDrops, judgeInotify, judgeDisk,
	} {
		out = append(out, check(e))
	}
	return out
}

func ok(check, format string, args ...any) finding {
	return finding{Check: check, Status: statusOK, Detail: fmt.Sprintf(format, args...)}
}

func (f finding) warn(hint string) finding {
	f.Status, f.Hint = statusWarn, hint
	return f
}

func (f finding) fail(hint string) finding {
	f.Status, f.Hint = statusFail, hint
	return f
}

func judgeRoot(e evidence) finding {
	if e.uid == 0 {
		return ok("user", "root")
	}
	return ok("user", "user id %d", e.uid).fail(needRoot(e.args))
}

func judgeShim(e evidence) finding {
	if e.shim == nil {
		return ok("stack-shim", "found beside stack")
	}
	return ok("stack-shim", "%v", e.shim).fail("install both programs, stack and stack-shim, in one directory")
}

func judgeKernel(e evidence) finding {
	f := ok("kernel", "Linux %s", e.native.Kernel)
	switch {
	case !e.native.KernelAtLeast(5, 12):
		return f.fail("5.12 is needed for mount_setattr(2), 5.19 for id-mapped layers")
	case !e.native.KernelAtLeast(5, 19):
		return f.warn("before 5.19 layers cannot be id-mapped: services need userns_mode: host")
	}
	return f
}

func judgeCgroups(e evidence) finding {
	if err := e.native.CgroupErr; err != nil {
		return ok("cgroups", "%v", err).fail("mount control groups, on a modern system: mount -t cgroup2 none /sys/fs/cgroup")
	}
	f := ok("cgroups", "%s with %s", e.native.Host.Mode, strings.Join(e.native.Host.Controllers(), ", "))
	if missing := e.native.Missing(); len(missing) > 0 {
		f.Detail += "; without " + strings.Join(missing, ", ")
		return f.warn("limits that need them are not kept; delegate the controllers to this machine's or container's root")
	}
	return f
}

func judgeUserNS(e evidence) finding {
	if err := e.native.UserNS; err != nil {
		return ok("user namespaces", "%v", err).fail("sysctl user.max_user_namespaces=15000; where a container or sandbox forbids them, services need userns_mode: host")
	}
	return ok("user namespaces", "can be made")
}

func judgeIDMap(e evidence) finding {
	var bad []string
	for _, dir := range slices.Sorted(maps.Keys(e.native.IDMap)) {
		if err := e.native.IDMap[dir]; err != nil {
			bad = append(bad, fmt.Sprintf("not on %s: %v", dir, err))
		}
	}
	switch {
	case e.native.UserNS != nil:
		return ok("id-mapped mounts", "not tried without user namespaces").warn("see user namespaces")
	case len(bad) > 0:
		return ok("id-mapped mounts", "%s", strings.Join(bad, "; ")).warn("what lies there shows up with foreign owners inside, or the service needs userns_mode: host; ext4, xfs and btrfs can")
	}
	return ok("id-mapped mounts", "work on %s", strings.Join(slices.Sorted(maps.Keys(e.native.IDMap)), " and "))
}

func judgeOverlay(e evidence) finding {
	err := e.native.Overlay
	switch {
	case err == nil:
		return ok("overlay", "works on %s", e.state)
	case errors.Is(err, rootfs.ErrUnfit):
		return ok("overlay", "%s: %v", e.state, err).warn("changes that containers make are kept in memory; put the state on ext4 or xfs with STACK_ROOT")
	}
	return ok("overlay", "%s: %v", e.state, err).fail("modprobe overlay; the state directory must be writable")
}

func judgeSeccomp(e evidence) finding {
	if e.native.Seccomp {
		return ok("seccomp", "filters work")
	}
	return ok("seccomp", "the kernel has no system call filters").fail("a kernel with CONFIG_SECCOMP_FILTER is needed")
}

func judgeMemfd(e evidence) finding {
	f := ok("memfd", "can be executed")
	if e.native.MemfdNoexec == 2 {
		f.Detail = "may not be executed (vm.memfd_noexec=2)"
		return f.warn("containers start from a file in the state directory instead, which must not be mounted noexec")
	}
	return f
}

func judgeSysResource(e evidence) finding {
	if e.native.SysResource {
		return ok("CAP_SYS_RESOURCE", "held")
	}
	return ok("CAP_SYS_RESOURCE", "not held").warn("ulimits above the present hard limits are not set, and oom_score_adj not lowered")
}

// Fewer are used up by a few dozen programs that watch files: all user namespaces
// that root makes share root's.
const (
	fewInstances = 512
	fewWatches   = 65536
)

func judgeInotify(e evidence) finding {
	f := ok("inotify", "%d instances, %d watches", e.native.InotifyInstances, e.native.InotifyWatches)
	if n := e.native.InotifyInstances; n >= 0 && n < fewInstances {
		return f.warn("all containers share these: sysctl fs.inotify.max_user_instances=8192")
	}
	if n := e.native.InotifyWatches; n >= 0 && n < fewWatches {
		return f.warn("all containers share these: sysctl fs.inotify.max_user_watches=524288")
	}
	return f
}

func judgeDisk(e evidence) finding {
	n := e.native
	if n.FileSystemErr != nil {
		return ok("disk", "%s: %v", e.state, n.FileSystemErr).fail("the state directory cannot be looked at")
	}
	f := ok("disk", "%s free of %s on %s", units.BytesSize(float64(n.Free)), units.BytesSize(float64(n.Size)), e.state)
	if n.Files > 0 && n.FreeFiles < n.Files/20 {
		f.Detail += fmt.Sprintf(", %d of %d inodes free", n.FreeFiles, n.Files)
		return f.warn("make room: stack image prune -a, stack volume prune")
	}
	switch {
	case n.Free < 64<<20:
		return f.fail("make room: stack image prune -a, stack volume prune; state can lie elsewhere with STACK_ROOT")
	case n.Free < 1<<30 || n.Free < n.Size/20:
		return f.warn("make room: stack image prune -a, stack volume prune; state can lie elsewhere with STACK_ROOT")
	}
	return f
}
