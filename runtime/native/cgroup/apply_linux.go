package cgroup

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// build makes the group's directories and writes a plan for a fresh group.
func (g *Group) build(p plan) (warnings []string, err error) {
	var needed []string
	for _, s := range p.settings {
		needed = append(needed, s.controller)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.undo(err))
		}
	}()
	if err := g.tree.make(needed); err != nil {
		return nil, err
	}
	p.settings = g.postpone(p.settings)
	if len(p.devices) > 0 {
		if err := g.tree.setDevices(p.devices, true); err != nil {
			return nil, err
		}
	}
	missing, err := g.write(p.settings, false)
	return append(p.missing, missing...), err
}

// undo removes a half-made group, but not one that stood there before.
func (g *Group) undo(cause error) error {
	if errors.Is(cause, ErrExists) {
		return nil
	}
	return g.tree.remove()
}

// postpone keeps a limit of one process back on version 1, where the thread that
// forks the first process counts, too.
func (g *Group) postpone(settings []setting) []setting {
	if _, ok := g.tree.(*v1); !ok {
		return settings
	}
	var now []setting
	for _, s := range settings {
		if s.file == "pids.max" && s.value == "1" {
			g.later = append(g.later, s)
			s.value = "2"
		}
		now = append(now, s)
	}
	return now
}

// Settle applies what would have hindered the creation of the first process: a
// pids limit of one on version 1. Call it when the process exists and the thread
// that entered is gone. It costs nothing where nothing was kept back.
func (g *Group) Settle() error {
	_, err := g.write(g.later, false)
	g.later = nil
	return g.fail("limit", err)
}

// Update changes the limits that are set in r and no other. When one is refused,
// those written before it are taken back. A limit below what is used is ErrInUse
// on version 1, where the kernel refuses it; version 2 reclaims or kills, unless
// r.Memory.CheckBeforeUpdate is set. Limits that the machine cannot apply are an
// *UnsupportedError, after the others were applied.
func (g *Group) Update(r *specs.LinuxResources) error {
	p, err := g.tree.plan(r, false)
	if err != nil {
		return g.fail("update", err)
	}
	missing, err := g.write(p.settings, true)
	if err == nil && len(p.devices) > 0 {
		err = g.tree.setDevices(p.devices, false)
	}
	if missing = append(p.missing, missing...); err == nil && len(missing) > 0 {
		err = &UnsupportedError{Limits: missing}
	}
	return g.fail("update", err)
}

// written is a value that was replaced.
type written struct{ path, old string }

// write applies settings in order and names those the machine does not have.
// With restore, a failure brings the values back that stood before.
func (g *Group) write(settings []setting, restore bool) (missing []string, err error) {
	var done []written
	for _, s := range settings {
		path, old, err := g.writeOne(s, restore && !s.keyed)
		switch {
		case err != nil:
			return nil, errors.Join(err, rollback(done))
		case path != "":
			if restore && !s.keyed {
				done = append(done, written{path, old})
			}
		case s.required:
			return nil, errors.Join(fmt.Errorf("cannot set %s: this machine has no such control", s.file), rollback(done))
		case !s.quiet:
			missing = append(missing, s.limit+" is not applied: this machine has no "+s.file)
		}
	}
	return missing, nil
}

func rollback(done []written) error {
	for _, w := range slices.Backward(done) {
		if err := writeFile(w.path, w.old); err != nil {
			return fmt.Errorf("cannot restore the previous limit: %w", err)
		}
	}
	return nil
}

// writeOne writes a setting or its alternative and returns the value before, if
// that is asked for. The path is empty when the machine has neither.
func (g *Group) writeOne(s setting, wantOld bool) (path, old string, err error) {
	dir, err := g.tree.dir(s.controller)
	if err != nil || dir == "" {
		return "", "", err
	}
	path = dir + "/" + s.file
	if wantOld {
		old, err = readValue(path)
	}
	if err == nil {
		err = g.set(path, s)
	}
	switch {
	case err == nil && s.controller == "cpuset":
		return path, old, checkCpuset(path, old, s)
	case err == nil:
		return path, old, nil
	case gone(err) && !exists(dir):
		return "", "", ErrNotFound
	case gone(err) && exists(path), !gone(err) && !errors.Is(err, unix.EOPNOTSUPP):
		return "", "", refused(s, err) // ENODEV on a file that is there: no such device
	case s.or != nil:
		return g.writeOne(*s.or, wantOld)
	}
	return "", "", nil
}

func refused(s setting, err error) error {
	if errors.Is(err, unix.EBUSY) && s.controller == "memory" {
		return fmt.Errorf("cannot set %s to %s: %w (%w)", s.limit, s.value, ErrInUse, err)
	}
	return fmt.Errorf("cannot set %s to %q: %w", s.limit, s.value, err)
}

// checkCpuset refuses processors or memory nodes that are not there: version 2
// accepts them and uses what it has, or everything.
func checkCpuset(path, old string, s setting) error {
	effective, err := readValue(path + ".effective")
	if err != nil {
		return nil // version 1, which refused already
	}
	if configured, err := readValue(path); err != nil || configured == effective {
		return err
	}
	err = fmt.Errorf("cannot set %s to %q: only %q is available", s.limit, s.value, effective)
	return errors.Join(err, writeFile(path, old+"\n")) // an empty write(2) would change nothing
}
