package native

import (
	"context"
	"errors"
	"fmt"

	"stack/runtime"
	"stack/runtime/native/cgroup"
)

// group is the control group at a path, ErrNotRunning when there is none.
func (f *Foreign) group(path string) (*cgroup.Group, error) {
	g, err := cgroup.Load(path)
	if errors.Is(err, cgroup.ErrNotFound) {
		err = fmt.Errorf("cannot find cgroup %s: %w", path, runtime.ErrNotRunning)
	}
	return g, err
}

// Stats tells what the control group at path uses.
func (f *Foreign) Stats(path string) (runtime.Stats, error) {
	g, err := f.group(path)
	if err != nil {
		return runtime.Stats{}, err
	}
	if f.ReadStats == nil {
		return runtime.Stats{}, errors.New("this program was built without statistics")
	}
	s, err := f.ReadStats(g.Paths())
	if err != nil {
		return s, err
	}
	s.OOMKills, err = g.OOMKills()
	return s, err
}

// Processes lists what is in the control group at path.
func (f *Foreign) Processes(path string) ([]int, error) {
	g, err := f.group(path)
	if err != nil {
		return nil, err
	}
	return g.Pids()
}

// Frozen says whether the control group at path is.
func (f *Foreign) Frozen(path string) bool {
	g, err := f.group(path)
	if err != nil {
		return false
	}
	frozen, err := g.Frozen()
	return err == nil && frozen
}

// OOMKills counts the kernel's kills in the control group at path, as far as known.
func (f *Foreign) OOMKills(path string) uint64 {
	g, err := f.group(path)
	if err != nil {
		return 0
	}
	n, _ := g.OOMKills() // the group may be on its way out
	return n
}

// OOMEvents is cgroup.Group.OOMEvents.
func (f *Foreign) OOMEvents(ctx context.Context, path string) (<-chan struct{}, error) {
	g, err := f.group(path)
	if err != nil {
		return nil, err
	}
	return g.OOMEvents(ctx)
}

// Sweep kills what is in the control group at path and removes it.
func (f *Foreign) Sweep(path string) error {
	g, err := f.group(path)
	if errors.Is(err, runtime.ErrNotRunning) {
		return nil
	}
	if err == nil {
		err = g.Kill()
	}
	if err == nil {
		err = g.Delete()
	}
	return err
}
