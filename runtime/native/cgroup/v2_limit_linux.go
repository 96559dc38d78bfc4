package cgroup

import (
	"errors"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (g *v2) plan(r *specs.LinuxResources, isFresh bool) (plan, error) {
	now := fresh()
	if !isFresh && r != nil {
		var err error
		if now, err = g.state(r); err != nil {
			return plan{}, err
		}
	}
	return planV2(r, now)
}

// state reads what a plan for r depends on.
func (g *v2) state(r *specs.LinuxResources) (state, error) {
	s := fresh()
	var errs error
	read := func(name string) int64 {
		n, err := readLimit(g.at() + "/" + name)
		errs = errors.Join(errs, err)
		return n
	}
	if r.Memory != nil {
		s.memory = read("memory.max")
		s.usage = uint64(max(read("memory.current"), 0))
	}
	if r.CPU != nil {
		s.burst = uint64(max(read("cpu.max.burst"), 0))
		max, err := words(g.at() + "/cpu.max")
		if err == nil && len(max) == 2 {
			s.quota, s.period, err = parseCPUMax(max)
		}
		if !errors.Is(err, os.ErrNotExist) {
			errs = errors.Join(errs, err)
		}
	}
	return s, errs
}

func parseCPUMax(fields []string) (quota int64, period uint64, err error) {
	quota = -1
	if fields[0] != "max" {
		if quota, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
			return 0, 0, err
		}
	}
	period, err = strconv.ParseUint(fields[1], 10, 64)
	return quota, period, err
}
