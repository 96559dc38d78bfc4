package cgroup

import (
	"fmt"
	"strings"
)

// setting is one value for one control file.
type setting struct {
	controller string
	file       string
	value      string
	limit      string   // what a user calls it, for messages: "memory limit"
	or         *setting // tried where file does not exist
	// keyed files hold a line a device and answer a write by merging it.
	keyed bool
	// quiet settings change nothing for the user where the file is absent.
	quiet bool
	// required settings are an error, not a warning, where the file is absent.
	required bool
}

func (s setting) String() string {
	text := fmt.Sprintf("%s: %s = %s", s.controller, s.file, s.value)
	if s.or != nil {
		text += " | " + s.or.String()
	}
	return text
}

// plan is everything to be written for one set of resources, in order.
type plan struct {
	settings []setting
	// devices is nil where devices are not to be controlled.
	devices []deviceRule
	// missing names limits that the cgroup version does not know.
	missing []string
}

// state is what a plan must know of the group as it is.
type state struct {
	memory int64  // limit in bytes, -1 without
	swap   int64  // version 1: limit of memory and swap; -1 without
	usage  uint64 // bytes of memory in use
	quota  int64  // CPU microseconds a period, -1 without
	period uint64
	burst  uint64
}

// fresh is the state of a group that was just made.
func fresh() state {
	return state{memory: -1, swap: -1, quota: -1, period: defaultPeriod}
}

const defaultPeriod = 100_000

// defaults are the kernel's values in a fresh group. Swappiness is not among
// them: version 1 inherits it.
func defaults() map[string]string {
	return map[string]string{
		"memory.limit_in_bytes":       "-1",
		"memory.memsw.limit_in_bytes": "-1",
		"memory.soft_limit_in_bytes":  "-1",
		"memory.oom_control":          "0",
		"memory.max":                  "max",
		"memory.swap.max":             "max",
		"memory.low":                  "0",
		"cpu.shares":                  "1024",
		"cpu.cfs_quota_us":            "-1",
		"cpu.cfs_period_us":           "100000",
		"cpu.cfs_burst_us":            "0",
		"cpu.weight":                  "100",
		"cpu.max":                     "max 100000",
		"cpu.max.burst":               "0",
		"cpu.idle":                    "0",
		"pids.max":                    "max",
	}
}

// withoutDefaults drops the writes that a fresh group does not need.
func (p plan) withoutDefaults() plan {
	known := defaults()
	var kept []setting
	for _, s := range p.settings {
		if v, ok := known[s.file]; !ok || v != s.value {
			kept = append(kept, s)
		}
	}
	p.settings = kept
	return p
}

// String is the golden text that tests compare.
func (p plan) String() string {
	var b strings.Builder
	for _, s := range p.settings {
		fmt.Fprintln(&b, s)
	}
	for _, r := range p.devices {
		fmt.Fprintln(&b, "devices:", r)
	}
	for _, m := range p.missing {
		fmt.Fprintln(&b, "missing:", m)
	}
	return b.String()
}
