package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// planV2 turns resources into writes for cgroup version 2. Fields of version 1
// are converted where the specification's authors agreed how (the table in
// crun(1), which runc follows).
func planV2(r *specs.LinuxResources, now state) (plan, error) {
	p := planner{now: now}
	if r == nil {
		return p.plan, nil
	}
	if err := p.memoryV2(r.Memory); err != nil {
		return plan{}, err
	}
	p.cpuV2(r.CPU)
	p.cpuset(r.CPU)
	p.pidsLimit(r.Pids)
	p.ioV2(r.BlockIO)
	p.hugepages(r.HugepageLimits, "max")
	p.rdma(r.Rdma)
	if n := r.Network; n != nil && (n.ClassID != nil || len(n.Priorities) > 0) {
		p.miss("network class and priorities need cgroup v1 and are not applied")
	}
	if err := p.unified(r.Unified); err != nil {
		return plan{}, err
	}
	if err := p.controlDevices(r.Devices); err != nil {
		return plan{}, err
	}
	return p.plan, nil
}

func (p *planner) memoryV2(m *specs.LinuxMemory) error {
	if m == nil {
		return nil
	}
	limit, swap, err := p.swapTotal(m)
	if err != nil {
		return err
	}
	check := m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate
	if check && limit != nil && *limit > 0 && uint64(*limit) < p.now.usage {
		return fmt.Errorf("cannot set memory limit to %d with %d in use: %w", *limit, p.now.usage, ErrInUse)
	}
	if swap != nil {
		p.set("memory", "memory.swap.max", p.swapAlone(limit, *swap), "swap limit")
		p.last().quiet = *swap < 0
	}
	if limit != nil {
		p.set("memory", "memory.max", number(*limit, "max"), "memory limit")
	}
	if given(m.Reservation) {
		p.set("memory", "memory.low", number(*m.Reservation, "max"), "memory reservation")
	}
	if m.Swappiness != nil {
		p.miss("swappiness needs cgroup v1 and is not applied")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		p.miss("disabling the OOM killer needs cgroup v1 and is not applied")
	}
	p.obsoleteMemory(m)
	return nil
}

// swapAlone is the part of the total that may be swap.
func (p *planner) swapAlone(limit *int64, total int64) string {
	if total < 0 {
		return "max"
	}
	if limit != nil {
		return strconv.FormatInt(total-*limit, 10)
	}
	return strconv.FormatInt(total-p.now.memory, 10)
}

func (p *planner) cpuV2(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	if given(c.Shares) {
		p.set("cpu", "cpu.weight", unsigned(weightOfShares(*c.Shares)), "CPU shares")
	}
	burst := func(when bool) {
		if c.Burst != nil && when {
			p.set("cpu", "cpu.max.burst", unsigned(*c.Burst), "CPU burst")
			p.last().quiet = *c.Burst == 0
		}
	}
	lower := c.Burst != nil && *c.Burst < p.now.burst
	burst(lower)
	if given(c.Quota) || given(c.Period) {
		p.set("cpu", "cpu.max", p.cpuMax(c), "CPU quota")
	}
	burst(!lower)
	if given(c.RealtimePeriod) || given(c.RealtimeRuntime) {
		p.miss("CPU realtime limits need cgroup v1 and are not applied")
	}
	if c.Idle != nil {
		p.set("cpu", "cpu.idle", strconv.FormatInt(*c.Idle, 10), "CPU idle")
		p.last().quiet = *c.Idle == 0
	}
}

func (p *planner) cpuMax(c *specs.LinuxCPU) string {
	quota, period := p.now.quota, p.now.period
	if given(c.Quota) {
		quota = *c.Quota
	}
	if given(c.Period) {
		period = *c.Period
	}
	return number(quota, "max") + " " + unsigned(period)
}

// ioV2 prefers the BFQ scheduler's weights, which keep the number, over those of
// the I/O cost model.
func (p *planner) ioV2(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	weight := func(key string, w uint16) {
		p.set("io", "io.bfq.weight", key+strconv.Itoa(int(w)), "block I/O weight")
		p.last().keyed = true
		p.last().or = &setting{
			controller: "io", file: "io.weight", value: key + unsigned(weightOfBlkio(w)), keyed: true,
		}
	}
	if given(b.Weight) {
		weight("", *b.Weight)
	}
	for _, d := range b.WeightDevice {
		if given(d.Weight) {
			weight(fmt.Sprintf("%d:%d ", d.Major, d.Minor), *d.Weight)
		}
	}
	p.leafWeight(b)
	for _, t := range throttles(b) {
		for _, d := range t.devices {
			rate := unsigned(d.Rate)
			if d.Rate == 0 { // version 1's word for "no limit"
				rate = "max"
			}
			p.set("io", "io.max", fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, t.v2, rate), t.limit)
			p.last().keyed = true
		}
	}
}

// unified writes files by name, in the order of their names. Those that move or
// kill processes or change the group's kind are not limits.
func (p *planner) unified(files map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		controller, _, ok := strings.Cut(name, ".")
		if !ok || controller == "" || strings.ContainsAny(name, "/\x00") {
			return fmt.Errorf("unified setting %q is not the name of a control file", name)
		}
		switch name {
		case "cgroup.procs", "cgroup.threads", "cgroup.type", "cgroup.kill", "cgroup.freeze", "cgroup.subtree_control":
			return fmt.Errorf("unified setting %q is not a limit", name)
		}
		p.set(controller, name, files[name], "unified "+name)
		p.last().keyed = true
		p.last().required = true
	}
	return nil
}
