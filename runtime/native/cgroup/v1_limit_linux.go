package cgroup

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (g *v1) plan(r *specs.LinuxResources, isFresh bool) (plan, error) {
	now := fresh()
	if !isFresh && r != nil {
		var err error
		if now, err = g.state(r); err != nil {
			return plan{}, err
		}
	}
	return planV1(r, now)
}

// state reads what a plan for r depends on.
func (g *v1) state(r *specs.LinuxResources) (state, error) {
	s := fresh()
	read := func(controller, name string, to *int64) error {
		path := g.file(controller, name)
		if path == "" {
			return nil
		}
		n, err := readLimit(path)
		*to = n
		return err
	}
	var err error
	if r.Memory != nil {
		err = errors.Join(read("memory", "memory.limit_in_bytes", &s.memory),
			read("memory", "memory.memsw.limit_in_bytes", &s.swap))
	}
	if r.CPU != nil {
		var burst int64
		err = errors.Join(err, read("cpu", "cpu.cfs_burst_us", &burst))
		s.burst = uint64(max(burst, 0))
	}
	return s, err
}

// setDevices writes the table that the rules amount to. While a living group is
// updated, devices are denied for some microseconds.
func (g *v1) setDevices(rules []deviceRule, isFresh bool) error {
	t, err := tableOf(rules)
	if err != nil {
		return err
	}
	dir, err := g.dir("devices")
	if err != nil {
		return err
	}
	if dir == "" {
		if t.allowAll && len(t.exceptions) == 0 {
			return nil
		}
		return errors.New("cannot control devices: this machine has no devices controller")
	}
	base, rest := "/devices.deny", "/devices.allow"
	if t.allowAll {
		base, rest = rest, base
	}
	if !t.allowAll || !isFresh {
		if err := writeFile(dir+base, "a"); err != nil {
			return fmt.Errorf("cannot reset device access: %w", err)
		}
	}
	var lines []string
	for _, e := range t.exceptions {
		lines = append(lines, e.line())
	}
	if len(lines) == 0 {
		return nil
	}
	if err := writeLines(dir+rest, lines); err != nil {
		return fmt.Errorf("cannot set device access %s: %w", strings.Join(lines, ", "), err)
	}
	return nil
}
