package scheduler

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"stack/scheduler/watch"
)

// reaction is what a batch of changes asks for.
type reaction struct {
	files          int
	syncs, restart bool
	rebuild        bool
	signals        []string
	hooks          []types.ServiceHook
}

// react notes what is to be synced and tells what else is to be done.
func (r *reloader) react(b watch.Batch) reaction {
	var out reaction
	hit := map[int]bool{}
	names := map[string]bool{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generation++
	for _, change := range b.Changes {
		rule := r.rules[change.Root]
		if r.guard.off[change.Root] {
			continue
		}
		if change.Passed {
			// Only a sync that came late to an earlier change may have brought it.
			if _, told := r.touched[change.Root][change.Path]; told {
				out.syncs = true
				r.touched[change.Root][change.Path] = r.generation
			}
			continue
		}
		names[filepath.Join(rule.base, change.Path)] = true
		if rule.syncs() {
			out.syncs = true
			r.touched[change.Root][change.Path] = r.generation
		}
		switch {
		case rule.rebuilds():
			out.rebuild = true
		case rule.restarts() && rule.signal == "":
			out.restart = true
		case rule.restarts() && !slices.Contains(out.signals, rule.signal):
			out.signals = append(out.signals, rule.signal)
		case rule.executes() && !hit[change.Root]:
			out.hooks = append(out.hooks, rule.Exec)
		}
		hit[change.Root] = true
	}
	out.files = len(names)
	return out
}

// batch syncs what changed, then tells who is to see it.
func (r *reloader) batch(ctx context.Context, b watch.Batch) (Reload, error) {
	r.watchSelf(b)
	do := r.react(b)
	report := Reload{Files: do.files}
	var err error
	if do.rebuild {
		report.Rebuilt, err = r.rebuild(ctx, do.files)
		return report, err // what else changed is in the new image
	}
	if do.syncs {
		if report.Replicas, err = r.sync(ctx, false); err != nil {
			return report, err
		}
	}
	for _, h := range do.hooks {
		n, err := r.execute(ctx, h)
		report.Executed += n
		if err != nil {
			return report, err
		}
	}
	if do.restart {
		report.Restarted, err = r.restart(ctx, []string{r.service})
		return report, err // who was restarted needs no signal
	}
	for _, sig := range do.signals {
		if report.Signalled, err = r.signal(ctx, sig); err != nil {
			return report, err
		}
	}
	if report.Executed > 0 {
		_, err = r.restart(ctx, r.dependents())
	}
	return report, err
}

// execute runs a command in every replica that runs.
func (r *reloader) execute(ctx context.Context, h types.ServiceHook) (int, error) {
	var group errgroup.Group
	running := r.running()
	for _, i := range running {
		group.Go(func() error { return r.c.hook(ctx, &i, h, hookPatience) })
	}
	return len(running), group.Wait()
}

// signal sends one to every replica that runs.
func (r *reloader) signal(ctx context.Context, sig string) (int, error) {
	running := r.running()
	if len(running) == 0 {
		return 0, nil
	}
	defer r.c.quiet.during([]string{r.service})()
	return len(running), r.c.kill(ctx, Command{Verb: VerbKill, Services: []string{r.service}, Signal: sig})
}

func (r *reloader) running() []Instance {
	return slices.DeleteFunc(r.instances(), func(i Instance) bool { return i.State != StateRunning })
}

// dependents are the services that are restarted with what they depend on.
func (r *reloader) dependents() []string {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	var out []string
	for _, e := range r.c.want.Graph.Dependents(r.service) {
		if e.Restart {
			out = append(out, e.Service)
		}
	}
	return out
}

// restart restarts services, and what depends on them with restart: true, as a
// person would; those that were stopped stay so. It tells how many replicas.
func (r *reloader) restart(ctx context.Context, services []string) (int, error) {
	n := 0
	r.c.mu.Lock()
	services = slices.DeleteFunc(services, func(service string) bool {
		live := 0
		for _, i := range r.c.instances {
			if i.Service == service && !i.OneOff && !i.Discard && i.live() {
				live++
			}
		}
		n += live
		return live == 0
	})
	r.c.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	cmd := Command{Verb: VerbRestart, Services: services}
	defer r.c.quiet.during(r.restartedWith(services))()
	about, err := r.c.apply(cmd)
	if err != nil {
		return 0, err
	}
	return n, r.c.follow(ctx, cmd, about)
}

// restartedWith are services and all that is restarted with them.
func (r *reloader) restartedWith(services []string) []string {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	out := slices.Clone(services)
	for n := 0; n < len(out); n++ {
		for _, e := range r.c.want.Graph.Dependents(out[n]) {
			if e.Restart && !slices.Contains(out, e.Service) {
				out = append(out, e.Service)
			}
		}
	}
	return out
}
