package scheduler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"stack/runtime/native/transfer"
	"stack/scheduler/watch"
	"stack/spec"
)

// Files opens the file systems of containers that run, or wait to.
// Errors: runtime.ErrNotFound, runtime.ErrNotRunning.
type Files interface {
	Root(ctx context.Context, id string) (*transfer.Root, error)
}

// hotReload is what develop.watch asks for, carried out while a client watches.
type hotReload struct {
	services map[string]*reloader // guarded by the controller's mu

	mu   sync.Mutex
	over bool // the client is gone
	each func(Reload)
}

func (h *hotReload) tell(r Reload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.each(r)
	}
}

// Watched are the services of names, or of the whole stack, that have files watched.
func Watched(st *spec.Stack, names []string) []string {
	var out []string
	for name, s := range st.Services {
		if (len(names) == 0 || slices.Contains(names, name)) && len(reloadRules(s)) > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// watchFiles carries out VerbWatch: until the client goes or the project is down.
func (c *Controller) watchFiles(ctx context.Context, cmd Command, reply func(Reply)) error {
	h := &hotReload{each: func(r Reload) { reply(Reply{Reload: &r}) }}
	st, err := c.claim(h, cmd.Services)
	if err != nil {
		return err
	}
	defer c.unclaim()
	services, err := c.reloaders(st, cmd.Services, h.tell)
	if err != nil {
		return err
	}
	c.mu.Lock()
	h.services = services
	c.mu.Unlock()
	return c.reloading(ctx, h, cmd.Since)
}

// claim makes h the project's only watch.
func (c *Controller) claim(h *hotReload, services []string) (*spec.Stack, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.want.Stack
	if st == nil {
		return nil, errors.New("no stack is recorded")
	}
	for _, s := range services {
		if _, ok := st.Services[s]; !ok {
			return nil, fmt.Errorf("no such service: %s", s)
		}
	}
	if c.reload != nil {
		return nil, errors.New("the project's files are being watched already")
	}
	c.reload = h
	return st, nil
}

func (c *Controller) unclaim() {
	c.mu.Lock()
	h := c.reload
	c.reload = nil
	c.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// reloading runs until the client goes or the project is down.
func (c *Controller) reloading(ctx context.Context, h *hotReload, since time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, r := range h.services {
		r.begin(since)
	}
	for _, r := range h.services {
		group.Go(func() error { return r.watcher.Run(ctx) })
		group.Go(func() error { return r.run(ctx) })
	}
	group.Go(func() error {
		err := c.await(ctx, 0, func(time.Time) (bool, error) { return c.ended || c.want.Down, nil })
		cancel()
		return err
	})
	h.tell(Reload{Enabled: true})
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (c *Controller) reloaders(st *spec.Stack, names []string, tell func(Reload)) (map[string]*reloader, error) {
	out := map[string]*reloader{}
	for _, name := range Watched(st, names) {
		r, err := c.newReloader(st.Project, st.Services[name], tell)
		if err != nil {
			for _, made := range out {
				made.watcher.Close()
			}
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
		out[name] = r
	}
	if len(out) == 0 {
		return nil, ErrNothingToWatch
	}
	return out, nil
}

// ErrNothingToWatch is what a watch of services without rules ends with.
var ErrNothingToWatch = errors.New("no service has files to watch: give one a develop.watch section")

// reloadRule is one item of develop.watch.
type reloadRule struct {
	types.Trigger
	root watch.Root
	// base is the host's directory that names are relative to, target the
	// container's; as is the name there when the rule is about one file.
	base, target, as string
}

func (r reloadRule) syncs() bool    { return strings.HasPrefix(string(r.Action), "sync") }
func (r reloadRule) restarts() bool { return strings.HasSuffix(string(r.Action), "restart") }
func (r reloadRule) executes() bool { return r.Action == types.WatchActionSyncExec }

// reloadRules are the rules of a service that can be carried out.
func reloadRules(s types.ServiceConfig) []reloadRule {
	if s.Develop == nil {
		return nil
	}
	var out []reloadRule
	for _, t := range s.Develop.Watch {
		if t.Action == types.WatchActionRebuild {
			continue // spec tells that it is not built yet
		}
		target := t.Target
		if !path.IsAbs(target) {
			target = path.Join("/", s.WorkingDir, target)
			if strings.HasSuffix(t.Target, "/") {
				target += "/"
			}
		}
		out = append(out, reloadRule{Trigger: t, base: t.Path, target: target, root: watch.Root{
			Path: t.Path, Include: t.Include, Ignore: []watch.Patterns{{Dir: t.Path, Lines: t.Ignore}},
		}})
	}
	return out
}

// settle looks at the host: a rule may be about one file, and .dockerignore files
// say what is no part of the service.
func (r *reloadRule) settle(p *types.Project, s types.ServiceConfig) error {
	info, err := os.Stat(r.Path)
	if err != nil {
		return fmt.Errorf("cannot watch: %w", err)
	}
	if !info.IsDir() {
		r.base = filepath.Dir(r.Path)
		if !strings.HasSuffix(r.target, "/") {
			r.target, r.as = path.Split(r.target)
		}
		r.root.Ignore[0].Dir = r.base
	}
	dirs := []string{p.WorkingDir, r.base}
	if s.Build != nil && filepath.IsAbs(s.Build.Context) {
		dirs[0] = s.Build.Context
	}
	for _, dir := range slices.Compact(dirs) {
		ignore, err := watch.DockerIgnore(dir)
		if err != nil {
			return err
		}
		r.root.Ignore = append(r.root.Ignore, ignore)
	}
	return nil
}
