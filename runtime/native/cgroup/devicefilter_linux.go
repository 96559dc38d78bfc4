package cgroup

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// setDevices attaches a filter and then detaches those that were there: for a
// moment both must agree, so that nothing is open that either forbids.
func (g *v2) setDevices(rules []deviceRule, isFresh bool) error {
	if everything := rules[len(rules)-1]; isFresh && everything.kind == 'a' && everything.allow {
		return nil
	}
	dir, err := os.Open(g.at())
	if err != nil {
		return notFound(err)
	}
	defer dir.Close()
	target := int(dir.Fd())
	var old []uint32
	if !isFresh {
		if old, err = devicePrograms(target); err != nil {
			return fmt.Errorf("cannot list device filters: %w", err)
		}
	}
	program, err := loadDeviceProgram(deviceFilter(rules))
	if err != nil {
		return denied(fmt.Errorf("cannot load a device filter: %w", err))
	}
	defer unix.Close(program)
	if err := attachDeviceProgram(target, program); err != nil {
		return denied(fmt.Errorf("cannot attach a device filter: %w", err))
	}
	for _, id := range old {
		if err := detach(target, id); err != nil {
			return err
		}
	}
	return nil
}

func detach(target int, id uint32) error {
	program, err := openProgram(id)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		defer unix.Close(program)
		err = detachDeviceProgram(target, program)
	}
	if err != nil {
		return fmt.Errorf("cannot detach the previous device filter: %w", err)
	}
	return nil
}
