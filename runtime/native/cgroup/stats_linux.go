package cgroup

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"stack/runtime"

	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
)

// library opens the group, in the hierarchies of some controllers, with
// containerd's package. That looks for ROOT/CONTROLLER/PATH; hierarchies may be
// mounted elsewhere ("cpu,cpuacct"), so each path leads out again.
func (g *v1) library(controllers ...string) (cgroup1.Cgroup, error) {
	var subsystems []cgroup1.Subsystem
	for _, c := range controllers {
		if dir := g.file(c, ""); dir != "" && exists(dir) {
			subsystems = append(subsystems, subsystem(c, dir))
		}
	}
	if len(subsystems) == 0 {
		return nil, ErrNotFound
	}
	path := func(name cgroup1.Name) (string, error) {
		return filepath.Rel("/"+string(name), g.file(string(name), ""))
	}
	c, err := cgroup1.Load(path,
		cgroup1.WithHierarchy(func() ([]cgroup1.Subsystem, error) { return subsystems, nil }))
	if errors.Is(err, cgroup1.ErrCgroupDeleted) {
		return nil, ErrNotFound
	}
	return c, err
}

func subsystem(controller, dir string) cgroup1.Subsystem {
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

func (g *v1) stats() (runtime.Stats, error) {
	c, err := g.library("cpu", "cpuacct", "memory", "pids", "blkio")
	if err != nil {
		return runtime.Stats{}, err
	}
	m, err := c.Stat()
	if err != nil {
		return runtime.Stats{}, notFound(err)
	}
	s := runtime.Stats{
		At:        time.Now(),
		CPUUsage:  time.Duration(m.CPU.Usage.Total),
		Throttled: time.Duration(m.CPU.Throttling.ThrottledTime),
	}
	if m.Memory != nil {
		s.Memory = below(m.Memory.Usage.Usage, m.Memory.TotalInactiveFile)
		s.MemoryLimit = bounded(m.Memory.Usage.Limit)
		s.Swap = below(m.Memory.Swap.Usage, m.Memory.Usage.Usage)
	}
	if m.Pids != nil {
		s.Pids, s.PidsLimit = m.Pids.Current, bounded(m.Pids.Limit)
	}
	if m.Blkio != nil {
		for _, e := range m.Blkio.IoServiceBytesRecursive {
			switch e.Op {
			case "Read":
				s.ReadBytes += e.Value
			case "Write":
				s.WriteBytes += e.Value
			}
		}
	}
	s.OOMKills, err = g.oomKills()
	return s, err
}

func (g *v2) stats() (runtime.Stats, error) {
	if !exists(g.at()) {
		return runtime.Stats{}, ErrNotFound
	}
	c, err := cgroup2.Load(g.path, cgroup2.WithMountpoint(g.root.mount))
	if err != nil {
		return runtime.Stats{}, err
	}
	const wanted = cgroup2.StatCPU | cgroup2.StatMemory | cgroup2.StatMemoryEvents | cgroup2.StatPids | cgroup2.StatIO
	m, err := c.StatFiltered(wanted)
	if err != nil {
		return runtime.Stats{}, notFound(err)
	}
	s := runtime.Stats{
		At:          time.Now(),
		CPUUsage:    time.Duration(m.CPU.UsageUsec) * time.Microsecond,
		Throttled:   time.Duration(m.CPU.ThrottledUsec) * time.Microsecond,
		Memory:      below(m.Memory.Usage, m.Memory.InactiveFile),
		MemoryLimit: bounded(m.Memory.UsageLimit),
		Swap:        m.Memory.SwapUsage,
		Pids:        m.Pids.Current,
		PidsLimit:   bounded(m.Pids.Limit),
		OOMKills:    m.MemoryEvents.GetOomKill(),
	}
	for _, e := range m.Io.Usage {
		s.ReadBytes += e.Rbytes
		s.WriteBytes += e.Wbytes
	}
	if !exists(g.at()) { // the library reads a vanished file as zero
		return runtime.Stats{}, fmt.Errorf("it was removed meanwhile: %w", ErrNotFound)
	}
	return s, nil
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
