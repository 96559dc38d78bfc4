package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
)

// Mode is the arrangement of control groups on a machine.
type Mode string

const (
	V1     Mode = "v1"
	Hybrid Mode = "hybrid" // controllers on v1, and a v2 tree beside them
	V2     Mode = "v2"
)

// Host is where control groups are mounted here. It does not change.
type Host struct {
	Mode Mode
	// trees are the hierarchies that hold controllers: one on version 2.
	trees []hierarchy
	// unified is the mount of the version 2 tree in hybrid mode.
	unified string
}

// hierarchy is one mounted tree. On version 2 controllers are those that the
// root offers.
type hierarchy struct {
	mount       string
	controllers []string // "name=systemd" for a named one
}

func (h hierarchy) has(controller string) bool { return slices.Contains(h.controllers, controller) }

// Detect reads where control groups are mounted for this process.
func Detect() (*Host, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot find control groups: %w", err)
	}
	defer mounts.Close()
	own, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cannot find control groups: %w", err)
	}
	defer own.Close()
	return detect(mounts, own, func(mount string) ([]string, error) {
		text, err := readValue(mount + "/cgroup.controllers")
		return strings.Fields(text), err
	})
}

// machine is Detect, done once: the mounts do not change, and the thread that
// asks later may live in another mount namespace.
var machine = sync.OnceValues(Detect)

// detect computes the Host from the texts of /proc/self/mountinfo and
// /proc/self/cgroup. offered reads the controllers of a version 2 mount.
func detect(mounts, own io.Reader, offered func(mount string) ([]string, error)) (*Host, error) {
	infos, err := mountinfo.GetMountsFromReader(mounts, mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the mounts of control groups: %w", err)
	}
	h := &Host{}
	h.trees, err = treesV1(infos, own)
	if err != nil {
		return nil, err
	}
	h.unified = bestMount(infos, func(i *mountinfo.Info) bool { return i.FSType == "cgroup2" })
	// A stray version 1 mount (net_cls, say) does not make a machine hybrid.
	if slices.ContainsFunc(h.trees, func(t hierarchy) bool { return t.has("cpu") || t.has("memory") || t.has("pids") }) {
		h.Mode = V1
		if h.unified != "" {
			h.Mode = Hybrid
		}
		return h, nil
	}
	if h.unified == "" {
		return nil, ErrNoCgroups
	}
	controllers, err := offered(h.unified)
	if err != nil {
		return nil, fmt.Errorf("cannot read the controllers of %q: %w", h.unified, err)
	}
	return &Host{Mode: V2, trees: []hierarchy{{mount: h.unified, controllers: controllers}}}, nil
}

// treesV1 pairs the hierarchies of /proc/self/cgroup ("4:cpu,cpuacct:/path")
// with their mounts, which name the controllers among their options.
func treesV1(infos []*mountinfo.Info, own io.Reader) ([]hierarchy, error) {
	var trees []hierarchy
	lines := bufio.NewScanner(own)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), ":", 3)
		if len(fields) != 3 || fields[1] == "" {
			continue
		}
		controllers := strings.Split(fields[1], ",")
		mount := bestMount(infos, func(i *mountinfo.Info) bool {
			options := strings.Split(i.VFSOptions, ",")
			return i.FSType == "cgroup" && !slices.ContainsFunc(controllers, func(c string) bool {
				return !slices.Contains(options, c)
			})
		})
		if mount != "" {
			trees = append(trees, hierarchy{mount: mount, controllers: controllers})
		}
	}
	slices.Reverse(trees) // the kernel lists the newest first
	return trees, lines.Err()
}

// bestMount prefers a mount of the whole tree to a bind mount of a part, and the
// conventional place (the shortest path) among equals.
func bestMount(infos []*mountinfo.Info, match func(*mountinfo.Info) bool) string {
	var best *mountinfo.Info
	for _, i := range infos {
		if !match(i) {
			continue
		}
		switch {
		case best == nil,
			i.Root == "/" && best.Root != "/",
			(i.Root == "/") == (best.Root == "/") && len(i.Mountpoint) < len(best.Mountpoint):
			best = i
		}
	}
	if best == nil {
		return ""
	}
	return best.Mountpoint
}

// Controllers lists the controllers that limits can be set with here, sorted.
func (h *Host) Controllers() []string {
	var all []string
	for _, t := range h.trees {
		all = append(all, t.controllers...)
	}
	all = slices.DeleteFunc(all, func(c string) bool { return strings.HasPrefix(c, "name=") })
	slices.Sort(all)
	return all
}
