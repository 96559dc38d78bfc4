package scheduler

import (
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Limits that a live container may be given anew; what the kernel has where no
// limit is set.
const (
	noLimit       = -1
	defaultShares = 1024
)

// limitsOf are the limits of a service as Translate gives them.
func limitsOf(s types.ServiceConfig, m Machine) (*specs.LinuxResources, []string, error) {
	t := &translator{
		in: TranslateInput{Project: &types.Project{}, Service: s, Machine: m}, s: s,
		spec: &specs.Spec{Linux: &specs.Linux{Resources: &specs.LinuxResources{}}},
	}
	err := t.resources()
	if err == nil {
		err = t.blockIO()
	}
	return t.spec.Linux.Resources, t.out.Warnings, err
}

// limitChanges are what to write to a live container so that before becomes now:
// memory, whose change the kernel may refuse, block devices, and the others; nil for
// nothing.
func limitChanges(before, now *specs.LinuxResources, m Machine) (memory, block, others *specs.LinuxResources) {
	a, b := orZero(before.Memory), orZero(now.Memory)
	mem := specs.LinuxMemory{Reservation: changed(a.Reservation, b.Reservation, noReservation(m))}
	if changed(a.Limit, b.Limit, noLimit) != nil || changed(a.Swap, b.Swap, noLimit) != nil {
		mem.Limit, mem.Swap = orDefault(b.Limit, noLimit), orDefault(b.Swap, noLimit) // both: the kernel minds their order
	}
	if mem != (specs.LinuxMemory{}) {
		memory = &specs.LinuxResources{Memory: &mem}
	}
	x, y := orZero(before.CPU), orZero(now.CPU)
	cpu := specs.LinuxCPU{
		Shares: changed(x.Shares, y.Shares, defaultShares),
		Period: changed(x.Period, y.Period, cpuPeriod),
		Quota:  changed(x.Quota, y.Quota, noLimit),
	}
	var rest specs.LinuxResources
	if y.Cpus != x.Cpus && y.Cpus != "" {
		cpu.Cpus = y.Cpus
	}
	if cpu != (specs.LinuxCPU{}) {
		rest.CPU = &cpu
	}
	if b := blockChanges(orZero(before.BlockIO), orZero(now.BlockIO)); b != nil {
		block = &specs.LinuxResources{BlockIO: b}
	}
	if n := changed(orZero(before.Pids).Limit, orZero(now.Pids).Limit, noLimit); n != nil {
		rest.Pids = &specs.LinuxPids{Limit: n}
	}
	if rest.CPU != nil || rest.Pids != nil {
		others = &rest
	}
	return memory, block, others
}

// noReservation takes a memory reservation back. Version 1 has a soft limit, which
// may be none; version 2 a protection, of whole pages: one byte is nothing.
func noReservation(m Machine) int64 {
	if m.CgroupV2 {
		return 1
	}
	return noLimit
}

func orZero[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

func orDefault[T any](p *T, none T) *T {
	if p == nil {
		return &none
	}
	return p
}

// changed is the new value where it differs from the old one; absent ones are none.
func changed[T comparable](before, now *T, none T) *T {
	a, b := orDefault(before, none), orDefault(now, none)
	if *a == *b {
		return nil
	}
	return b
}
