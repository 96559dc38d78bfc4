package scheduler

import (
	"context"
	"errors"
	"fmt"

	"stack/runtime"
)

// machineFiles is what Files has where containers may be virtual machines, whose files
// are reached through their own kernels.
type machineFiles interface {
	Machine(id string) bool
	State(ctx context.Context, id string) (runtime.State, error)
	// Sync is transfer.Root.Sync from the directory dir.
	Sync(ctx context.Context, id, target, dir string, names []string, as string, compare bool) error
}

// bringMachine is bring for a virtual machine.
func (r *reloader) bringMachine(ctx context.Context, m machineFiles, i Instance, behind uint64, compare bool) (bool, error) {
	st, err := m.State(ctx, i.ID)
	if gone(err) || err == nil && st.Status != runtime.Running {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var errs []error
	for n, rule := range r.rules {
		if names := r.behind(n, behind); len(names) > 0 {
			errs = append(errs, m.Sync(ctx, i.ID, rule.target, rule.base, names, rule.as, compare))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return true, fmt.Errorf("container %s: %w", i.Name, err)
	}
	return true, nil
}
