package scheduler

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stack/scheduler/watch"
	"stack/spec"
)

// reloader follows the files of one service.
type reloader struct {
	c       *Controller
	service string
	written []reloadRule // as they stand in the stack
	rules   []reloadRule
	watcher *watch.Watcher
	tell    func(Reload)
	initial int         // how many files begin touched
	missed  watch.Batch // what changed under earlier rules
	guard   loopGuard

	// stale says that a file changed which the rules were made from; outdated is told.
	stale    atomic.Bool
	outdated func()

	leave  chan struct{} // closed: end between two batches
	once   sync.Once
	cancel context.CancelFunc
	done   sync.WaitGroup

	// One sync at a time; what follows is guarded. A path that changed is touched
	// in a generation, and a container has what was touched up to one.
	mu         sync.Mutex
	generation uint64
	touched    []map[string]uint64 // by rule
	applied    map[string]uint64   // by container
}

// newReloader looks at a service's files and shows the rules that were inferred.
func (c *Controller) newReloader(st *spec.Stack, name string, rules []reloadRule, h *hotReload) (*reloader, error) {
	r := &reloader{c: c, service: name, written: rules, rules: slices.Clone(rules), applied: map[string]uint64{}, leave: make(chan struct{})}
	r.tell = func(report Reload) {
		report.Service = name
		h.tell(report)
	}
	r.outdated = func() {
		r.stale.Store(true)
		h.stale.Store(true)
		c.Wake()
	}
	var roots []watch.Root
	for n := range r.rules {
		if err := r.rules[n].settle(st.Project, st.Services[name]); err != nil {
			return nil, err
		}
		roots = append(roots, r.rules[n].root)
		r.touched = append(r.touched, map[string]uint64{})
	}
	var err error
	r.watcher, err = watch.New(watch.Options{Roots: roots, Instance: &c.inotify, Warn: func(text string) { r.tell(Reload{Warning: text}) }})
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		if rule.why != "" {
			r.tell(Reload{Rule: rule.why})
		}
	}
	return r, nil
}

// begin touches what is to be synced before any change: all files of the rules that
// ask for it, and those that changed since an earlier controller's watch began. The
// watcher does not run yet.
func (r *reloader) begin(since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	for i, rule := range r.rules {
		first := rule.InitialSync && len(r.touched[i]) == 0
		if !rule.syncs() || !first && since.IsZero() {
			continue
		}
		for _, name := range r.watcher.Files(i) {
			if first || changedSince(filepath.Join(rule.base, name), since) {
				r.touched[i][name] = r.generation
				r.initial++
			}
		}
	}
}

func changedSince(file string, since time.Time) bool {
	info, err := os.Lstat(file)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && !time.Unix(st.Ctim.Unix()).Before(since)
}

// inherit takes over what containers have from a reloader that has stopped, and what
// changed that it did not come to.
func (r *reloader) inherit(old *reloader) {
	r.generation, r.applied = old.generation, old.applied
	for i, names := range old.touched {
		for name, generation := range names {
			r.each(filepath.Join(old.rules[i].base, name), func(rule int, name string) {
				if r.rules[rule].syncs() {
					r.touched[rule][name] = generation
				}
			})
		}
	}
	rest := old.watcher.Rest()
	r.missed.Began = rest.Began
	for _, change := range rest.Changes {
		r.each(filepath.Join(old.rules[change.Root].base, change.Path), func(rule int, name string) {
			c := watch.Change{Root: rule, Path: name, Removed: change.Removed, Passed: change.Passed}
			if !slices.Contains(r.missed.Changes, c) {
				r.missed.Changes = append(r.missed.Changes, c)
			}
		})
	}
}

// each calls f for the rules that a path of the host is a matter of.
func (r *reloader) each(file string, f func(rule int, name string)) {
	for i, rule := range r.rules {
		name, err := filepath.Rel(rule.base, file)
		if err == nil && filepath.IsLocal(name) && r.watcher.Covers(i, name) {
			f(i, name)
		}
	}
}

// start begins to carry out batches, until ctx ends or stop is called.
func (r *reloader) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.done.Go(func() { r.watcher.Run(ctx) })
	r.done.Go(func() { r.run(ctx) })
}

// stop ends a reloader once the batch under way is carried out.
func (r *reloader) stop() {
	if r.cancel == nil {
		r.watcher.Close()
		return
	}
	r.once.Do(func() { close(r.leave) })
	r.done.Wait()
}

func (r *reloader) run(ctx context.Context) {
	defer r.cancel()
	began := time.Now()
	if r.initial > 0 {
		replicas, err := r.sync(ctx, true)
		r.report(ctx, Reload{Files: r.initial, Replicas: replicas, Took: time.Since(began)}, err)
	}
	if len(r.missed.Changes) > 0 {
		r.carryOut(ctx, r.missed)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.leave:
			return
		case b := <-r.watcher.C:
			r.carryOut(ctx, b)
		}
	}
}

func (r *reloader) carryOut(ctx context.Context, b watch.Batch) {
	report, err := r.batch(ctx, b)
	report.Took = time.Since(b.Began)
	if report.Files > 0 || err != nil {
		r.report(ctx, report, err)
	}
	if slices.ContainsFunc(b.Changes, func(c watch.Change) bool { return !c.Passed && r.source(c) }) {
		r.outdated()
	}
}

// source reports whether a rule may have been made from a file.
func (r *reloader) source(c watch.Change) bool {
	switch filepath.Base(c.Path) {
	case ".dockerignore", ".gitignore":
		return true
	}
	rule := r.rules[c.Root]
	return rule.recipe
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
