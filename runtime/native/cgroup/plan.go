package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// planner collects the settings of one set of resources.
type planner struct {
	plan
	now state
}

func (p *planner) set(controller, file, value, limit string) {
	p.settings = append(p.settings, setting{controller: controller, file: file, value: value, limit: limit})
}

func (p *planner) miss(limit string) { p.missing = append(p.missing, limit) }

// last is the setting added last, to be refined.
func (p *planner) last() *setting { return &p.settings[len(p.settings)-1] }

// given reads an optional number of the specification, where zero means unset.
func given[T int64 | uint64 | uint16](v *T) bool { return v != nil && *v != 0 }

// number prints a limit; anything negative is "no limit".
func number(v int64, none string) string {
	if v < 0 {
		return none
	}
	return strconv.FormatInt(v, 10)
}

func unsigned(v uint64) string { return strconv.FormatUint(v, 10) }

// pidsLimit is the same on both versions. No process can live in a group that
// may hold none, so zero, which the specification allows, becomes one.
func (p *planner) pidsLimit(r *specs.LinuxPids) {
	if r == nil || r.Limit == nil {
		return
	}
	n := *r.Limit
	if n == 0 {
		n = 1
	}
	p.set("pids", "pids.max", number(n, "max"), "pids limit")
}

func (p *planner) cpuset(c *specs.LinuxCPU) {
	if c == nil {
		return
	}
	if c.Cpus != "" {
		p.set("cpuset", "cpuset.cpus", c.Cpus, "cpuset cpus")
	}
	if c.Mems != "" {
		p.set("cpuset", "cpuset.mems", c.Mems, "cpuset mems")
	}
}

// hugepages limits use and, where the kernel counts them, reservations.
func (p *planner) hugepages(list []specs.LinuxHugepageLimit, suffix string) {
	for _, h := range list {
		limit := "huge page limit " + h.Pagesize
		p.set("hugetlb", "hugetlb."+h.Pagesize+"."+suffix, unsigned(h.Limit), limit)
		p.set("hugetlb", "hugetlb."+h.Pagesize+".rsvd."+suffix, unsigned(h.Limit), limit)
		p.last().quiet = true
	}
}

func (p *planner) rdma(m map[string]specs.LinuxRdma) {
	for _, device := range slices.Sorted(maps.Keys(m)) {
		line := device
		if n := m[device].HcaHandles; n != nil {
			line += fmt.Sprintf(" hca_handle=%d", *n)
		}
		if n := m[device].HcaObjects; n != nil {
			line += fmt.Sprintf(" hca_object=%d", *n)
		}
		p.set("rdma", "rdma.max", line, "rdma limit "+device)
		p.last().keyed = true
	}
}

// swapTotal returns the limits that are set. Swap counts memory and swap
// together, so it must not be below the memory limit that is to hold.
func (p *planner) swapTotal(m *specs.LinuxMemory) (limit, swap *int64, err error) {
	if given(m.Limit) {
		limit = m.Limit
	}
	if given(m.Swap) {
		swap = m.Swap
	}
	if swap == nil || *swap < 0 {
		return limit, swap, nil
	}
	base := p.now.memory
	if limit != nil {
		base = *limit
	}
	if base < 0 {
		return nil, nil, errors.New("a swap limit needs a memory limit: it counts both together")
	}
	if *swap < base {
		return nil, nil, fmt.Errorf("the limit of memory and swap together, %d, is below the memory limit %d", *swap, base)
	}
	return limit, swap, nil
}

func (p *planner) controlDevices(list []specs.LinuxDeviceCgroup) error {
	if len(list) == 0 {
		return nil
	}
	rules, err := deviceRules(list)
	if err != nil {
		return err
	}
	p.devices = rules
	return nil
}

// obsoleteMemory names the fields that no current kernel knows.
func (p *planner) obsoleteMemory(m *specs.LinuxMemory) {
	//lint:ignore SA1019 to be told, not used
	if m.Kernel != nil && *m.Kernel > 0 {
		p.miss("the kernel memory limit is obsolete and not applied")
	}
	if m.KernelTCP != nil && *m.KernelTCP > 0 {
		p.miss("the kernel TCP memory limit is obsolete and not applied")
	}
}
