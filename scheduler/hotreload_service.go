package scheduler

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"stack/scheduler/watch"
)

// reloader follows the files of one service.
type reloader struct {
	c       *Controller
	service string
	rules   []reloadRule
	watcher *watch.Watcher
	tell    func(Reload)
	initial int // how many files begin touched

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
// ask for it, and those that changed since an earlier controller's watch began. The
// watcher does not run yet.
func (r *reloader) begin(since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	for i, rule := range r.rules {
		if !rule.syncs() || !rule.InitialSync && since.IsZero() {
			continue
		}
		for _, name := range r.watcher.Files(i) {
			if rule.InitialSync || changedSince(filepath.Join(rule.base, name), since) {
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

// run carries out batches until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	began := time.Now()
	if r.initial > 0 {
		replicas, err := r.sync(ctx, true)
		r.report(ctx, Reload{Files: r.initial, Replicas: replicas, Took: time.Since(began)}, err)
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
