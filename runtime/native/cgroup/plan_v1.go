package cgroup

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// planV1 turns resources into writes for cgroup version 1. Fields that are
// unset, or zero where the specification says so, produce none.
func planV1(r *specs.LinuxResources, now state) (plan, error) {
	p := planner{now: now}
	if r == nil {
		return p.plan, nil
	}
	if len(r.Unified) > 0 {
		return plan{}, errors.New("unified settings need cgroup v2, and this machine has v1")
	}
	if err := p.memoryV1(r.Memory); err != nil {
		return plan{}, err
	}
	p.cpuV1(r.CPU)
	p.cpuset(r.CPU)
	p.pidsLimit(r.Pids)
	p.blkioV1(r.BlockIO)
	p.hugepages(r.HugepageLimits, "limit_in_bytes")
	p.rdma(r.Rdma)
	p.networkV1(r.Network)
	if err := p.controlDevices(r.Devices); err != nil {
		return plan{}, err
	}
	if _, err := tableOf(p.devices); err != nil {
		return plan{}, err
	}
	return p.plan, nil
}

func (p *planner) memoryV1(m *specs.LinuxMemory) error {
	if m == nil {
		return nil
	}
	limit, swap, err := p.swapTotal(m)
	if err != nil {
		return err
	}
	if limit != nil && *limit < 0 && swap == nil && p.now.swap >= 0 {
		swap = limit // memory may not exceed memory and swap
	}
	if limit != nil && swap == nil && p.now.swap >= 0 && *limit > p.now.swap {
		return fmt.Errorf("the memory limit %d is above the limit of memory and swap together, %d: raise both", *limit, p.now.swap)
	}
	p.memoryAndSwapV1(limit, swap)
	if given(m.Reservation) {
		p.set("memory", "memory.soft_limit_in_bytes", number(*m.Reservation, "-1"), "memory reservation")
	}
	if m.Swappiness != nil {
		p.set("memory", "memory.swappiness", unsigned(*m.Swappiness), "swappiness")
	}
	if m.DisableOOMKiller != nil {
		p.set("memory", "memory.oom_control", zeroOne(*m.DisableOOMKiller), "disabling the OOM killer")
	}
	p.obsoleteMemory(m)
	return nil
}

// memoryAndSwapV1 orders the two limits: the kernel refuses every moment in
// which memory alone may have more than memory and swap together.
func (p *planner) memoryAndSwapV1(limit, swap *int64) {
	setLimit := func() {
		if limit != nil {
			p.set("memory", "memory.limit_in_bytes", number(*limit, "-1"), "memory limit")
		}
	}
	setSwap := func() {
		if swap != nil {
			p.set("memory", "memory.memsw.limit_in_bytes", number(*swap, "-1"), "swap limit")
			p.last().quiet = *swap < 0
		}
	}
	raised := limit != nil && p.now.swap >= 0 && (*limit < 0 || *limit > p.now.swap)
	if raised {
		setSwap()
		setLimit()
		return
	}
	setLimit()
	setSwap()
}

func zeroOne(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// cpuV1 sets the period before the quota; a burst may not exceed the quota, so
// it is lowered before and raised after it.
func (p *planner) cpuV1(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	if given(c.Shares) {
		p.set("cpu", "cpu.shares", unsigned(*c.Shares), "CPU shares")
	}
	burst := func(when bool) {
		if c.Burst != nil && when {
			p.set("cpu", "cpu.cfs_burst_us", unsigned(*c.Burst), "CPU burst")
			p.last().quiet = *c.Burst == 0
		}
	}
	lower := c.Burst != nil && *c.Burst < p.now.burst
	burst(lower)
	if given(c.Period) {
		p.set("cpu", "cpu.cfs_period_us", unsigned(*c.Period), "CPU period")
	}
	if given(c.Quota) {
		p.set("cpu", "cpu.cfs_quota_us", number(*c.Quota, "-1"), "CPU quota")
	}
	burst(!lower)
	if given(c.RealtimePeriod) {
		p.set("cpu", "cpu.rt_period_us", unsigned(*c.RealtimePeriod), "CPU realtime period")
	}
	if given(c.RealtimeRuntime) {
		p.set("cpu", "cpu.rt_runtime_us", number(*c.RealtimeRuntime, "-1"), "CPU realtime runtime")
	}
	if c.Idle != nil {
		p.set("cpu", "cpu.idle", strconv.FormatInt(*c.Idle, 10), "CPU idle")
		p.last().quiet = *c.Idle == 0
	}
}

func (p *planner) blkioV1(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	weight := func(value, suffix string) {
		p.set("blkio", "blkio.weight"+suffix, value, "block I/O weight")
		p.last().keyed = suffix != ""
		p.last().or = &setting{
			controller: "blkio", file: "blkio.bfq.weight" + suffix, value: value, limit: "block I/O weight",
			keyed: suffix != "",
		}
	}
	if given(b.Weight) {
		weight(strconv.Itoa(int(*b.Weight)), "")
	}
	for _, d := range b.WeightDevice {
		if given(d.Weight) {
			weight(fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight), "_device")
		}
	}
	p.leafWeight(b)
	for _, t := range throttles(b) {
		for _, d := range t.devices {
			p.set("blkio", "blkio.throttle."+t.v1, fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate), t.limit)
			p.last().keyed = true
		}
	}
}

// leafWeight reports weights that went with the CFQ scheduler in Linux 5.0.
func (p *planner) leafWeight(b *specs.LinuxBlockIO) {
	leaf := given(b.LeafWeight)
	for _, d := range b.WeightDevice {
		leaf = leaf || given(d.LeafWeight)
	}
	if leaf {
		p.miss("the block I/O leaf weight is obsolete and not applied")
	}
}

type throttle struct {
	v1, v2, limit string
	devices       []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) []throttle {
	return []throttle{
		{"read_bps_device", "rbps", "block read rate", b.ThrottleReadBpsDevice},
		{"write_bps_device", "wbps", "block write rate", b.ThrottleWriteBpsDevice},
		{"read_iops_device", "riops", "block read operations", b.ThrottleReadIOPSDevice},
		{"write_iops_device", "wiops", "block write operations", b.ThrottleWriteIOPSDevice},
	}
}

func (p *planner) networkV1(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	if n.ClassID != nil {
		p.set("net_cls", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10), "network class")
	}
	for _, i := range n.Priorities {
		p.set("net_prio", "net_prio.ifpriomap", fmt.Sprintf("%s %d", i.Name, i.Priority), "network priority of "+i.Name)
		p.last().keyed = true
	}
}
