package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"stack/runtime/native/transfer"
	"stack/scheduler/watch"
)

// reloader follows the files of one service.
type reloader struct {
	c       *Controller
	service string
	rules   []reloadRule
	watcher *watch.Watcher
	tell    func(Reload)

	// One sync at a time; what follows is guarded. A path that changed is touched
	// in a generation, and a container has what was touched up to one.
	mu         sync.Mutex
	generation uint64
	touched    []map[string]uint64 // by rule
	applied    map[string]uint64   // by container
}

func (c *Controller) newReloader(p *types.Project, s types.ServiceConfig, tell func(Reload)) (*reloader, error) {
	r := &reloader{c: c, service: s.Name, rules: reloadRules(s), applied: map[string]uint64{}}
	r.tell = func(report Reload) {
		report.Service = s.Name
		tell(report)
	}
	var roots []watch.Root
	for n := range r.rules {
		if err := r.rules[n].settle(p, s); err != nil {
			return nil, err
		}
		roots = append(roots, r.rules[n].root)
		r.touched = append(r.touched, map[string]uint64{})
	}
	var err error
	r.watcher, err = watch.New(watch.Options{Roots: roots, Warn: func(text string) { r.tell(Reload{Warning: text}) }})
	return r, err
}

// begin touches what is to be synced before any change: all files of the rules that
// ask for it, and those that changed since an earlier controller's watch began.
func (r *reloader) begin(since time.Time) int {
	r.generation++
	n := 0
	for i, rule := range r.rules {
		if !rule.syncs() || !rule.InitialSync && since.IsZero() {
			continue
		}
		for _, name := range r.watcher.Files(i) {
			if rule.InitialSync || changedSince(filepath.Join(rule.base, name), since) {
				r.touched[i][name] = r.generation
				n++
			}
		}
	}
	return n
}

func changedSince(file string, since time.Time) bool {
	info, err := os.Lstat(file)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && !time.Unix(st.Ctim.Unix()).Before(since)
}

// run carries out batches until ctx ends.
func (r *reloader) run(ctx context.Context, since time.Time) error {
	began := time.Now()
	r.mu.Lock()
	n := r.begin(since)
	r.mu.Unlock()
	if n > 0 {
		replicas, err := r.sync(ctx, true)
		r.report(ctx, Reload{Files: n, Replicas: replicas, Took: time.Since(began)}, err)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-r.watcher.C:
			report, err := r.batch(ctx, b)
			report.Took = time.Since(b.Began)
			r.report(ctx, report, err)
		}
	}
}

func (r *reloader) report(ctx context.Context, report Reload, err error) {
	if ctx.Err() != nil {
		return // what failed, did so because nobody waits for it
	}
	if err != nil {
		report.Error = err.Error()
	}
	r.tell(report)
}

// batch syncs what changed, then runs and restarts what is to see it.
func (r *reloader) batch(ctx context.Context, b watch.Batch) (Reload, error) {
	report := Reload{}
	restart, syncs := false, false
	var hooks []types.ServiceHook
	hit := map[int]bool{}
	names := map[string]bool{}
	r.mu.Lock()
	r.generation++
	for _, change := range b.Changes {
		rule := r.rules[change.Root]
		names[filepath.Join(rule.base, change.Path)] = true
		restart = restart || rule.restarts()
		if rule.syncs() {
			syncs = true
			r.touched[change.Root][change.Path] = r.generation
		}
		if rule.executes() && !hit[change.Root] {
			hooks = append(hooks, rule.Exec)
		}
		hit[change.Root] = true
	}
	r.mu.Unlock()
	report.Files = len(names)
	var err error
	if syncs {
		if report.Replicas, err = r.sync(ctx, false); err != nil {
			return report, err
		}
	}
	for _, h := range hooks {
		n, err := r.execute(ctx, h)
		report.Executed += n
		if err != nil {
			return report, err
		}
	}
	if restart {
		report.Restarted, err = r.restart(ctx)
	}
	return report, err
}

// sync brings every container of the service what it has not, and tells how many
// there are.
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

// bring syncs what was touched after a generation into one container. It is false
// for a container that has no processes: it is brought up to date when it starts.
func (r *reloader) bring(ctx context.Context, i Instance, behind uint64, compare bool) (bool, error) {
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
		var names []string
		for name, g := range r.touched[n] {
			if g > behind {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			errs = append(errs, rule.sync(ctx, root, names, compare))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return true, fmt.Errorf("container %s: %w", i.Name, err)
	}
	return true, nil
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

// execute runs a command in every replica that runs.
func (r *reloader) execute(ctx context.Context, h types.ServiceHook) (int, error) {
	var group errgroup.Group
	n := 0
	for _, i := range r.instances() {
		if i.State != StateRunning {
			continue
		}
		n++
		group.Go(func() error { return r.c.hook(ctx, &i, h, hookPatience) })
	}
	return n, group.Wait()
}

// restart restarts the service, and what depends on it with restart: true, as a
// person would; one that was stopped stays so.
func (r *reloader) restart(ctx context.Context) (int, error) {
	n := 0
	for _, i := range r.instances() {
		if i.live() {
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	cmd := Command{Verb: VerbRestart, Services: []string{r.service}}
	about, err := r.c.apply(cmd)
	if err != nil {
		return 0, err
	}
	return n, r.c.follow(ctx, cmd, about)
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
