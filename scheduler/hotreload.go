package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stack/runtime"
	"stack/runtime/native/transfer"
	"stack/spec"
)

// Files opens the file systems of containers that run, or wait to.
// Errors: runtime.ErrNotFound, runtime.ErrNotRunning.
type Files interface {
	Root(ctx context.Context, id string) (*transfer.Root, error)
	// Rewrite gives files that the container was made with new contents, at once for
	// each reader, and returns the targets of those that had others.
	Rewrite(ctx context.Context, id string, files []runtime.File) ([]string, error)
}

// hotReload is what the rules for changed files ask for, carried out while a client
// watches.
type hotReload struct {
	c     *Controller
	names []string // of the services asked for; none is all
	// services are guarded by the controller's mu.
	services map[string]*reloader
	stack    *spec.Stack // whose rules stand
	// stale says that a file changed which the rules were made from.
	stale atomic.Bool

	mu   sync.Mutex
	over bool // the client is gone
	each func(Reload)
	// left is closed when the client is gone, ended when its watch is over.
	left  <-chan struct{}
	ended chan struct{}
}

func (h *hotReload) tell(r Reload) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.each(r)
	}
}

// watchFiles carries out VerbWatch: until the client goes or the project is down.
func (c *Controller) watchFiles(ctx context.Context, cmd Command, reply func(Reply)) error {
	h := &hotReload{c: c, names: cmd.Services, services: map[string]*reloader{},
		each: func(r Reload) { reply(Reply{Reload: &r}) }, left: ctx.Done(), ended: make(chan struct{})}
	st, err := c.claim(ctx, h)
	if err != nil {
		return err
	}
	defer c.unclaim()
	ctx, cancel := context.WithCancel(ctx)
	defer h.end()
	defer cancel()
	rules, err := watchRules(st, cmd.Services)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		return ErrNothingToWatch
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		r, err := c.newReloader(st, name, rules[name], h)
		if err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
		r.begin(cmd.Since)
		h.set(name, r)
	}
	h.stack = st
	for _, r := range h.services {
		r.start(ctx)
	}
	h.tell(Reload{Enabled: true})
	return h.supervise(ctx)
}

// claim makes h the project's only watch. One whose client is gone is about to end.
func (c *Controller) claim(ctx context.Context, h *hotReload) (*spec.Stack, error) {
	c.mu.Lock()
	for c.reload != nil && isClosed(c.reload.left) {
		before := c.reload.ended
		c.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	st := c.want.Stack
	if st == nil {
		return nil, errors.New("no stack is recorded")
	}
	for _, s := range h.names {
		if _, ok := st.Services[s]; !ok {
			return nil, st.NoService(s)
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
	close(h.ended)
	c.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// ErrNothingToWatch is what a watch of services without rules ends with.
var ErrNothingToWatch = errors.New("no service has files to watch: give one a develop.watch section, a build or a bind mount")

// supervise keeps the reloaders what the stack asks for, until the client goes or the
// project is down.
func (h *hotReload) supervise(ctx context.Context) error {
	for {
		var st *spec.Stack
		err := h.c.await(ctx, 0, func(time.Time) (bool, error) {
			if h.c.ended || h.c.want.Down {
				return true, nil
			}
			if h.c.want.Stack != h.stack || h.stale.Load() {
				st = h.c.want.Stack
			}
			return st != nil, nil
		})
		if st == nil || err != nil {
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
		h.refresh(ctx, st)
	}
}

// refresh has services followed by the rules of st. Where that cannot be, they are
// followed by those that stood.
func (h *hotReload) refresh(ctx context.Context, st *spec.Stack) {
	h.stack = st
	again := h.stale.Swap(false)
	names := slices.DeleteFunc(slices.Clone(h.names), func(name string) bool {
		_, there := st.Services[name]
		return !there
	})
	rules, err := watchRules(st, names)
	if err != nil {
		h.tell(Reload{Warning: "cannot watch by the new rules: " + err.Error()})
		return
	}
	if len(h.names) > 0 && len(names) == 0 {
		rules = nil // none of the services is left
	}
	for _, name := range slices.Sorted(maps.Keys(h.services)) {
		if len(rules[name]) == 0 {
			h.drop(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		old := h.services[name]
		if old != nil && sameRules(old.written, rules[name]) && !(again && old.stale.Load()) {
			continue
		}
		h.exchange(ctx, st, name, old, rules[name])
	}
}

// set records who follows a service's files; nil is nobody.
func (h *hotReload) set(name string, r *reloader) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if r == nil {
		delete(h.services, name)
		return
	}
	h.services[name] = r
}

func (h *hotReload) drop(name string) {
	h.services[name].stop()
	h.set(name, nil)
	h.tell(Reload{Service: name, Warning: "its files are watched no more"})
}

// exchange puts a reloader with other rules in the place of old, which may be nil.
// Nothing that changes meanwhile is lost.
func (h *hotReload) exchange(ctx context.Context, st *spec.Stack, name string, old *reloader, rules []reloadRule) {
	r, err := h.c.newReloader(st, name, rules, h)
	if err != nil {
		h.tell(Reload{Service: name, Warning: "cannot watch by its new rules: " + err.Error()})
		return
	}
	if old != nil {
		old.stop()
		r.inherit(old)
	}
	r.begin(time.Time{})
	h.set(name, r)
	r.start(ctx)
	if old == nil || !sameRules(old.written, rules) {
		h.tell(Reload{Service: name, Warning: "its files are watched by new rules"})
	}
}

// end waits for all to be over, once ctx is.
func (h *hotReload) end() {
	for _, r := range h.services {
		r.stop()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
