package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/containerd/cgroups/v3/cgroup2/stats"

	"stack/runtime"
)

// Read tells what a group uses now, given its directories by controller; on a
// machine with cgroup v2 alone "unified" names the only one (cgroup.Group.Paths).
// Memory leaves inactive page cache out. OOM kills are left to the caller: version 1
// counts them where the victims lived. A group that is gone is runtime.ErrNotFound.
//
// Version 1 counts block I/O only on disks for which some group on the machine has a
// throttle (Linux 6.10 and later) or which the BFQ scheduler serves.
func Read(paths map[string]string) (runtime.Stats, error) {
	if dir := paths["unified"]; dir != "" {
		return readV2(dir)
	}
	return readV1(paths)
}

func readV1(paths map[string]string) (runtime.Stats, error) {
	group, err := loadV1(paths)
	if err != nil {
		return runtime.Stats{}, err
	}
	m, err := group.Stat()
	if err != nil {
		return runtime.Stats{}, missing(err)
	}
	s := runtime.Stats{At: time.Now()}
	if m.CPU != nil {
		s.CPUUsage = time.Duration(m.CPU.GetUsage().GetTotal())
		s.Throttled = time.Duration(m.CPU.GetThrottling().GetThrottledTime())
	}
	if m.Memory != nil {
		used := m.Memory.GetUsage().GetUsage()
		s.Memory = below(used, m.Memory.GetTotalInactiveFile())
		s.MemoryLimit = bounded(m.Memory.GetUsage().GetLimit())
		s.Swap = below(m.Memory.GetSwap().GetUsage(), used)
	}
	if m.Pids != nil {
		s.Pids, s.PidsLimit = m.Pids.Current, bounded(m.Pids.Limit)
	}
	for _, e := range m.Blkio.GetIoServiceBytesRecursive() {
		switch e.Op {
		case "Read":
			s.ReadBytes += e.Value
		case "Write":
			s.WriteBytes += e.Value
		}
	}
	return s, nil
}

// loadV1 opens the group in the hierarchies that count something. The library looks
// for ROOT/CONTROLLER/PATH; hierarchies may be mounted elsewhere ("cpu,cpuacct"), so
// each path leads out again.
func loadV1(paths map[string]string) (cgroup1.Cgroup, error) {
	var counters []cgroup1.Subsystem
	for _, c := range []string{"cpu", "cpuacct", "memory", "pids", "blkio"} {
		if dir := paths[c]; dir != "" && exists(dir) {
			counters = append(counters, counter(c, dir))
		}
	}
	if len(counters) == 0 {
		return nil, runtime.ErrNotFound
	}
	path := func(name cgroup1.Name) (string, error) { return filepath.Rel("/"+string(name), paths[string(name)]) }
	group, err := cgroup1.Load(path, cgroup1.WithHierarchy(func() ([]cgroup1.Subsystem, error) { return counters, nil }))
	return group, missing(err)
}

func counter(controller, dir string) cgroup1.Subsystem {
	switch controller {
	case "cpu":
		return cgroup1.NewCpu("/")
	case "cpuacct":
		return cgroup1.NewCpuacct("/")
	case "pids":
		return cgroup1.NewPids("/")
	case "blkio":
		return cgroup1.NewBlkio("/")
	}
	ignored := []string{"kmem", "kmem.tcp"} // not counted by every kernel, and not wanted
	if !exists(dir + "/memory.memsw.usage_in_bytes") {
		ignored = append(ignored, "memsw")
	}
	return cgroup1.NewMemory("/", cgroup1.IgnoreModules(ignored...))
}

func readV2(dir string) (runtime.Stats, error) {
	if !exists(dir) {
		return runtime.Stats{}, runtime.ErrNotFound
	}
	group, err := cgroup2.Load("/", cgroup2.WithMountpoint(dir))
	if err != nil {
		return runtime.Stats{}, err
	}
	m, err := group.StatFiltered(cgroup2.StatCPU | cgroup2.StatMemory | cgroup2.StatPids | cgroup2.StatIO)
	if err != nil {
		return runtime.Stats{}, missing(err)
	}
	s := runtime.Stats{
		At:          time.Now(),
		CPUUsage:    time.Duration(m.CPU.GetUsageUsec()) * time.Microsecond,
		Throttled:   time.Duration(m.CPU.GetThrottledUsec()) * time.Microsecond,
		Memory:      below(m.Memory.GetUsage(), m.Memory.GetInactiveFile()),
		MemoryLimit: bounded(m.Memory.GetUsageLimit()),
		Swap:        m.Memory.GetSwapUsage(),
		Pids:        m.Pids.GetCurrent(),
		PidsLimit:   bounded(m.Pids.GetLimit()),
	}
	s.CPUPressure, s.MemoryPressure, s.IOPressure = pressure(m.CPU.GetPSI()), pressure(m.Memory.GetPSI()), pressure(m.Io.GetPSI())
	for _, e := range m.Io.GetUsage() {
		s.ReadBytes += e.Rbytes
		s.WriteBytes += e.Wbytes
	}
	if !exists(dir) { // the library reads a vanished file as zero
		return runtime.Stats{}, fmt.Errorf("it was removed meanwhile: %w", runtime.ErrNotFound)
	}
	return s, nil
}

func pressure(p *stats.PSIStats) *runtime.Pressure {
	if p == nil {
		return nil
	}
	return &runtime.Pressure{Some: stall(p.GetSome()), Full: stall(p.GetFull())}
}

func stall(d *stats.PSIData) runtime.Stall {
	return runtime.Stall{Avg10: d.GetAvg10(), Avg60: d.GetAvg60(), Avg300: d.GetAvg300(), Total: d.GetTotal()}
}

func exists(dir string) bool {
	_, err := os.Lstat(dir)
	return err == nil
}

// missing turns the ways to say that a group is gone into one.
func missing(err error) error {
	gone := []error{cgroup1.ErrCgroupDeleted, fs.ErrNotExist}
	if slices.ContainsFunc(gone, func(e error) bool { return errors.Is(err, e) }) {
		return fmt.Errorf("%w: %w", runtime.ErrNotFound, err)
	}
	return err
}

// below is the difference of two counters that were not read at one moment.
func below(total, part uint64) uint64 { return total - min(total, part) }

// bounded turns the numbers that stand for "no limit" into zero.
func bounded(limit uint64) uint64 {
	if limit >= math.MaxInt64&^0xffff {
		return 0
	}
	return limit
}
