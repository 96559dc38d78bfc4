package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// cpuPeriod is the kernel's default accounting period in microseconds.
const cpuPeriod = 100_000

// resources are a service's limits after deploy.resources took precedence, as in
// Docker Compose.
type resources struct {
	memory, swap, reservation int64
	cpus                      float64
	reservedCPUs              float64
	pids                      int64
}

func resourcesOf(s types.ServiceConfig) resources {
	r := resources{
		memory: int64(s.MemLimit), swap: int64(s.MemSwapLimit), reservation: int64(s.MemReservation),
		cpus: float64(s.CPUS), pids: s.PidsLimit,
	}
	if s.Deploy == nil {
		return r
	}
	if l := s.Deploy.Resources.Limits; l != nil {
		r.memory = cmp.Or(int64(l.MemoryBytes), r.memory)
		r.cpus = cmp.Or(float64(l.NanoCPUs), r.cpus)
		r.pids = cmp.Or(l.Pids, r.pids)
	}
	if l := s.Deploy.Resources.Reservations; l != nil {
		r.reservation = cmp.Or(int64(l.MemoryBytes), r.reservation)
		r.reservedCPUs = float64(l.NanoCPUs)
	}
	return r
}

func (t *translator) resources() error {
	parent := path.Join("/", cmp.Or(t.s.CgroupParent, path.Join("stack", t.in.Project.Name)))
	t.spec.Linux.CgroupsPath = path.Join(parent, t.in.Instance.ID)
	r := resourcesOf(t.s)
	if r.pids != 0 {
		t.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: new(max(r.pids, -1))}
	}
	if err := t.memory(r); err != nil {
		return err
	}
	return t.cpu(r)
}

// memory follows Docker: without memswap_limit a container may swap as much again
// as its memory limit.
func (t *translator) memory(r resources) error {
	var m specs.LinuxMemory
	if r.memory > 0 {
		m.Limit = new(r.memory)
		m.Swap = new(cmp.Or(r.swap, saturatingDouble(r.memory)))
	}
	switch {
	case r.swap > 0 && r.memory <= 0:
		return errors.New("memswap_limit needs mem_limit")
	case r.swap > 0 && r.swap < r.memory:
		return fmt.Errorf("memswap_limit (%d) is below mem_limit (%d): it counts memory and swap together", r.swap, r.memory)
	case r.memory > 0 && r.reservation > r.memory:
		return fmt.Errorf("memory reservation (%d) is above the limit (%d)", r.reservation, r.memory)
	}
	if r.reservation > 0 {
		m.Reservation = new(r.reservation)
	}
	t.memoryV1(&m)
	if m != (specs.LinuxMemory{}) {
		t.spec.Linux.Resources.Memory = &m
	}
	return nil
}

// memoryV1 sets what only cgroup v1 can do.
func (t *translator) memoryV1(m *specs.LinuxMemory) {
	if t.in.Machine.CgroupV2 {
		if t.s.MemSwappiness != 0 {
			t.warn("mem_swappiness is ignored: cgroup v2 has no such setting")
		}
		if t.s.OomKillDisable {
			t.warn("oom_kill_disable is ignored: cgroup v2 has no such setting")
		}
		return
	}
	if t.s.MemSwappiness != 0 {
		m.Swappiness = new(uint64(t.s.MemSwappiness))
	}
	if t.s.OomKillDisable {
		m.DisableOOMKiller = new(true)
	}
}

func saturatingDouble(n int64) int64 {
	if n > math.MaxInt64/2 {
		return math.MaxInt64
	}
	return 2 * n
}

func (t *translator) cpu(r resources) error {
	var c specs.LinuxCPU
	if err := t.cpuQuota(&c, r.cpus); err != nil {
		return err
	}
	if t.s.CPUShares > 0 {
		c.Shares = new(uint64(t.s.CPUShares))
	} else if r.reservedCPUs > 0 {
		// A reservation of processors is a share of a busy machine: 1024 is one.
		c.Shares = new(max(2, uint64(math.Round(r.reservedCPUs*1024))))
	}
	if t.s.CPURTPeriod > 0 {
		c.RealtimePeriod = new(uint64(t.s.CPURTPeriod))
	}
	if t.s.CPURTRuntime > 0 {
		c.RealtimeRuntime = new(t.s.CPURTRuntime)
	}
	c.Cpus = t.s.CPUSet
	if c != (specs.LinuxCPU{}) {
		t.spec.Linux.Resources.CPU = &c
	}
	return nil
}

func (t *translator) cpuQuota(c *specs.LinuxCPU, cpus float64) error {
	if cpus == 0 {
		if t.s.CPUPeriod > 0 {
			c.Period = new(uint64(t.s.CPUPeriod))
		}
		if t.s.CPUQuota != 0 {
			c.Quota = new(t.s.CPUQuota)
		}
		return nil
	}
	switch {
	case t.s.CPUQuota != 0 || t.s.CPUPeriod != 0:
		return errors.New("cpus and cpu_quota or cpu_period exclude each other")
	case cpus < 0.01:
		return fmt.Errorf("cpus %g is below the least limit of 0.01", cpus)
	case t.in.Machine.CPUs > 0 && cpus > float64(t.in.Machine.CPUs):
		t.warn("cpus %g is more than this machine's %d", cpus, t.in.Machine.CPUs)
	}
	c.Period = new(uint64(cpuPeriod))
	c.Quota = new(int64(math.Round(cpus * cpuPeriod)))
	return nil
}
