package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"stack/runtime/native/transfer"
)

// sync brings every container of the service what it has not, and tells how many have
// all now.
func (r *reloader) sync(ctx context.Context, compare bool) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.instances()
	maps.DeleteFunc(r.applied, func(id string, _ uint64) bool {
		return !slices.ContainsFunc(list, func(i Instance) bool { return i.ID == id })
	})
	done := make([]bool, len(list))
	errs := make([]error, len(list))
	var group errgroup.Group
	group.SetLimit(startsAtOnce)
	for n, i := range list {
		behind := r.applied[i.ID]
		group.Go(func() error {
			done[n], errs[n] = r.bring(ctx, i, behind, compare)
			return nil
		})
	}
	group.Wait()
	count := 0
	for n, i := range list {
		if done[n] {
			r.applied[i.ID] = r.generation
			count++
		}
	}
	return count, errors.Join(errs...)
}

// catchUp brings a container, before its program starts, what changed while it was
// not there.
func (r *reloader) catchUp(ctx context.Context, i Instance) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, err := r.bring(ctx, i, r.applied[i.ID], true)
	if done {
		r.applied[i.ID] = r.generation
	}
	return err
}

// bring syncs what was touched after a generation into one container, and reports
// whether that has all now. It is false for a container that has no processes: it is
// brought up to date when it starts.
func (r *reloader) bring(ctx context.Context, i Instance, behind uint64, compare bool) (bool, error) {
	if m, ok := r.c.Files.(machineFiles); ok && m.Machine(i.ID) {
		return r.bringMachine(ctx, m, i, behind, compare)
	}
	root, err := r.c.Files.Root(ctx, i.ID)
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("container %s: %w", i.Name, err)
	}
	defer root.Close()
	var errs []error
	for n, rule := range r.rules {
		if names := r.behind(n, behind); len(names) > 0 {
			errs = append(errs, rule.sync(ctx, root, names, compare))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return false, fmt.Errorf("container %s: %w", i.Name, err) // and tried again with the next
	}
	return true, nil
}

// behind are the names that rule n saw touched after a generation.
func (r *reloader) behind(n int, generation uint64) []string {
	var names []string
	for name, g := range r.touched[n] {
		if g > generation {
			names = append(names, name)
		}
	}
	return names
}

func (r reloadRule) sync(ctx context.Context, root *transfer.Root, names []string, compare bool) error {
	from, err := transfer.HostDirectory(r.base)
	if err != nil {
		return err
	}
	defer from.Close()
	return root.Sync(ctx, r.target, from, names, transfer.SyncOptions{Compare: compare, As: r.as})
}

// instances are the service's replicas, in the order of their numbers.
func (r *reloader) instances() []Instance {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	var out []Instance
	for _, i := range r.c.sorted() {
		if i.Service == r.service && !i.OneOff && !i.Discard {
			out = append(out, *i)
		}
	}
	slices.SortStableFunc(out, func(a, b Instance) int { return a.Number - b.Number })
	return out
}

// catchUp gives a container that is about to start what a watch synced before. What
// fails is told to who watches and does not keep it from starting.
func (c *Controller) catchUp(ctx context.Context, i *Instance) {
	c.mu.Lock()
	var r *reloader
	if c.reload != nil && !i.OneOff {
		r = c.reload.services[i.Service]
	}
	c.mu.Unlock()
	if r == nil {
		return
	}
	if err := r.catchUp(ctx, *i); err != nil {
		r.report(ctx, Reload{}, err)
	}
}
