package cgroup

import (
	"errors"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	realtimeRuntime = "cpu.rt_runtime_us"
	realtimePeriod  = "cpu.rt_period_us"
	// fullPeriod is the kernel's default period, which groups of ours keep.
	fullPeriod = 1_000_000
)

// set writes a setting. A group can have no more real time than the one above,
// and a new one has none: those above that are ours are given what is asked for.
func (g *Group) set(path string, s setting) error {
	err := writeFile(path, s.value)
	tree, ok := g.tree.(*v1)
	if !ok || s.file != realtimeRuntime || !errors.Is(err, unix.EINVAL) {
		return err
	}
	ask, bad := realtimeOf(filepath.Dir(path), s.value)
	if bad != nil {
		return errors.Join(err, bad)
	}
	for b := newBackoff(100 * time.Millisecond); errors.Is(err, unix.EINVAL); {
		if err = tree.lendRealtime(ask); err == nil {
			err = writeFile(path, s.value)
		}
		if !b.wait() { // another may have taken it between the two
			break
		}
	}
	return err
}

// lendRealtime raises the groups above until each has what those below it have
// together, with ask for this one.
func (g *v1) lendRealtime(ask int64) error {
	h, ok := g.find("cpu")
	if !ok {
		return nil
	}
	child := g.at(h)
	var dirs []string
	var needs []int64
	for _, up := range disposable(g.path) {
		dir := h.mount + up
		others, err := realtimeBelow(dir, child)
		if err != nil {
			return err
		}
		ask += others
		dirs, needs, child = append(dirs, dir), append(needs, ask), dir
	}
	for i := len(dirs) - 1; i >= 0; i-- { // the topmost first
		has, err := realtimeAt(dirs[i])
		if err != nil {
			return err
		}
		if has >= needs[i] {
			continue
		}
		if err := writeFile(filepath.Join(dirs[i], realtimeRuntime), strconv.FormatInt(needs[i], 10)); err != nil {
			return err
		}
	}
	return nil
}

// realtimeBelow adds up what the groups in dir have, but for one.
func realtimeBelow(dir, except string) (sum int64, err error) {
	subs, err := subgroups(dir)
	for _, s := range subs {
		if s == except {
			continue
		}
		has, err := realtimeAt(s)
		if err != nil && !gone(err) {
			return 0, err
		}
		sum += has
	}
	return sum, err
}

func realtimeAt(dir string) (int64, error) {
	value, err := readValue(filepath.Join(dir, realtimeRuntime))
	if err != nil {
		return 0, err
	}
	return realtimeOf(dir, value)
}

// realtimeOf is a group's runtime in microseconds of a second, rounded up.
func realtimeOf(dir, runtime string) (int64, error) {
	run, err := strconv.ParseInt(runtime, 10, 64)
	if err != nil || run <= 0 {
		return 0, err
	}
	text, err := readValue(filepath.Join(dir, realtimePeriod))
	if err != nil {
		return 0, err
	}
	period, err := strconv.ParseInt(text, 10, 64)
	if err != nil || period <= 0 {
		return 0, err
	}
	return (run*fullPeriod + period - 1) / period, nil
}
