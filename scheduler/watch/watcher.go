package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Root is a file, or a directory with all below it, that is watched.
type Root struct {
	// Path is absolute.
	Path string
	// Ignore says what is not watched. Include, relative to Path, leaves only the
	// files that it matches.
	Ignore  []Patterns
	Include []string
	// Git leaves out what .gitignore files name as well.
	Git bool
}

// Change is a file, directory or link that is not as it was.
type Change struct {
	Root int // index of Options.Roots
	// Path is relative to the root, or to the directory of a root that is a file.
	Path    string
	Removed bool
	// Passed says of what is removed that it came and went since the batch before:
	// whoever reads files late may have met it.
	Passed bool
}

// Batch is what changed together, in the order of roots and paths.
type Batch struct {
	Began   time.Time // of the first event
	Changes []Change
}

// Options say what is watched.
type Options struct {
	Roots []Root
	// Poll looks again and again instead of being told.
	Poll bool
	// Instance, if given, is shared with other watchers.
	Instance *Instance
	// Warn is told why changes will be seen late.
	Warn func(string)
}

// Watcher watches roots.
type Watcher struct {
	// C gives the batches, while Run runs. Changes add up until one is taken.
	C <-chan Batch

	out      chan Batch
	warn     func(string)
	trees    []*tree
	outside  []string // directories that are watched for the roots in them
	pending  map[key]past
	window   window
	instance *Instance
	events   *listener // nil when polling
	// watched directories, by both: a watch is the inode's, fsnotify takes paths.
	paths   map[inode]string
	inodes  map[string]inode
	trouble error // why events do not serve
	// sweeps says that events do not tell all, swept when all was looked at.
	sweeps bool
	swept  time.Time
}

type key struct {
	root int
	name string
}

// past is what was before the changes that wait.
type past struct {
	entry
	existed bool
}

// New looks at the roots: what changes from then on is told.
func New(o Options) (*Watcher, error) {
	w := &Watcher{out: make(chan Batch), warn: o.Warn, pending: map[key]past{}, paths: map[inode]string{}, inodes: map[string]inode{}}
	w.C = w.out
	if w.instance = o.Instance; w.instance == nil {
		w.instance = new(Instance)
	}
	if w.warn == nil {
		w.warn = func(string) {}
	}
	for n, r := range o.Roots {
		if err := w.root(n, r); err != nil {
			return nil, err
		}
	}
	if o.Poll {
		w.trouble = errAsked
	} else {
		w.listen()
	}
	for _, t := range w.trees {
		t.look(".", false)
	}
	clear(w.pending) // this was the first look
	w.swept = time.Now()
	w.window = window{}
	if w.trouble != nil {
		w.poll()
	}
	return w, nil
}

func (w *Watcher) root(n int, r Root) error {
	info, err := os.Stat(r.Path)
	if err != nil {
		return fmt.Errorf("cannot watch %s: %w", r.Path, err)
	}
	base, err := resolve(r.Path, info.IsDir())
	if err != nil {
		return fmt.Errorf("cannot watch %s: %w", r.Path, err)
	}
	t := &tree{base: base, seen: map[string]entry{}, below: map[string]map[string]bool{}}
	if !info.IsDir() {
		t.base, t.only = filepath.Dir(t.base), filepath.Base(t.base)
	}
	if t.filter, err = newFilter(t.base, r.Ignore, r.Include); err != nil {
		return fmt.Errorf("cannot watch %s: %w", r.Path, err)
	}
	t.lock = gitLock(t.base)
	if r.Git {
		t.filter.git = newGitIgnore(t.base)
	}
	t.changed = func(name string, before entry, existed bool) { w.changed(key{n, name}, before, existed) }
	t.enter = func(dir string, id inode) { w.enter(t.abs(dir), id) }
	t.leave = func(dir string) { w.leave(t.abs(dir)) }
	w.trees = append(w.trees, t)
	if up := filepath.Dir(t.base); up != t.base {
		w.outside = append(w.outside, up)
	}
	return nil
}

// resolve follows the links on the way to a root, which inotify would not see.
func resolve(path string, dir bool) (string, error) {
	if dir {
		return filepath.EvalSymlinks(path)
	}
	up, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(up, filepath.Base(path)), err
}

func (w *Watcher) changed(k key, before entry, existed bool) {
	if _, waits := w.pending[k]; !waits {
		w.pending[k] = past{before, existed}
	}
	w.window.saw(time.Now())
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		batch, ready := w.batch(time.Now())
		w.arm(timer, ready)
		if err := w.step(ctx, timer, batch, ready); err != nil {
			return err
		}
		if w.trouble != nil && w.events != nil {
			w.poll()
		}
	}
}

// step waits for one thing to happen.
func (w *Watcher) step(ctx context.Context, timer *time.Timer, batch Batch, ready bool) error {
	var out chan Batch
	if ready {
		out = w.out
	}
	var events <-chan fsnotify.Event
	var errs <-chan error
	if w.events != nil {
		events, errs = w.events.Events, w.events.Errors
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case out <- batch:
		w.taken()
	case ev := <-events:
		w.event(ev)
	case err := <-errs:
		w.failed(err)
	case now := <-timer.C:
		if !now.Before(w.swept.Add(w.interval())) {
			w.scan()
		}
	}
	return nil
}

// arm sets the timer for what comes next by itself.
func (w *Watcher) arm(timer *time.Timer, ready bool) {
	due := w.window.due(len(w.pending))
	switch {
	case !ready && !due.IsZero():
		timer.Reset(max(time.Until(due), 0))
	case w.events == nil || w.sweeps:
		timer.Reset(max(time.Until(w.swept.Add(w.interval())), 0))
	default:
		timer.Stop()
	}
}

// interval is how often everything is looked at.
func (w *Watcher) interval() time.Duration {
	switch {
	case w.events == nil:
		return pollInterval
	case w.sweeps:
		return sweepInterval
	}
	return math.MaxInt64
}

// rested reports whether what waits can be told.
func (w *Watcher) rested(now time.Time) bool {
	w.window.refilling = false
	due := w.window.due(len(w.pending))
	if due.IsZero() || now.Before(due) {
		return false
	}
	w.window.refilling = w.emptied()
	if w.window.locked = len(w.pending) > burst && w.locked(); w.window.locked {
		w.window.last = now // to be asked again after a rest
	}
	return !now.Before(w.window.due(len(w.pending)))
}

// locked reports whether git is at work in a repository of a root: more is to come.
func (w *Watcher) locked() bool {
	return slices.ContainsFunc(w.trees, func(t *tree) bool {
		_, err := os.Lstat(t.lock)
		return err == nil
	})
}

// emptied reports whether a file that held something holds nothing: whoever
// truncates a file is about to write it.
func (w *Watcher) emptied() bool {
	for k, before := range w.pending {
		now, exists := w.trees[k.root].seen[k.name]
		if exists && now.mode.IsRegular() && now.size == 0 && before.size > 0 {
			return true
		}
	}
	return false
}

// batch is what waits, once it can be told.
func (w *Watcher) batch(now time.Time) (Batch, bool) {
	if !w.rested(now) {
		return Batch{}, false
	}
	b := Batch{Began: w.window.first}
	for k, before := range w.pending {
		t := w.trees[k.root]
		now, exists := t.seen[k.name]
		dir := before.mode.IsDir() && !exists || exists && now.mode.IsDir()
		if t.filter.include != nil && (dir || !t.filter.includes(k.name)) {
			continue
		}
		b.Changes = append(b.Changes, Change{Root: k.root, Path: k.name, Removed: !exists, Passed: !exists && !before.existed})
	}
	slices.SortFunc(b.Changes, func(x, y Change) int {
		return cmp.Or(cmp.Compare(x.Root, y.Root), cmp.Compare(x.Path, y.Path))
	})
	if len(b.Changes) == 0 {
		w.taken()
	}
	return b, len(b.Changes) > 0
}

func (w *Watcher) taken() {
	clear(w.pending)
	w.window = window{}
}

// Files are the names of all files below a root that are watched.
func (w *Watcher) Files(root int) []string {
	t := w.trees[root]
	var out []string
	for name, e := range t.seen {
		if name != "." && !t.filter.ignores(name, e.mode.IsDir()) && (!e.mode.IsDir() && t.filter.includes(name) || e.mode.IsDir() && t.filter.include == nil) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Covers reports whether a file of that name below a root would be told of.
func (w *Watcher) Covers(root int, name string) bool {
	t := w.trees[root]
	if t.only != "" && name != t.only {
		return false
	}
	return !t.filter.ignores(name, false) && t.filter.includes(name)
}

// Rest is what changed and was not told, once Run has returned.
func (w *Watcher) Rest() Batch {
	w.events = nil
	w.scan()
	w.window.first, w.window.last = cmp.Or(w.window.first, time.Now()), time.Time{}
	b, _ := w.batch(w.window.first.Add(patienceBurst))
	return b
}

// Polls reports whether changes are seen late.
func (w *Watcher) Polls() bool { return w.events == nil }

var errAsked = errors.New("asked to")

func (w *Watcher) event(ev fsnotify.Event) {
	touched := ev.Has(fsnotify.Write) || ev.Has(fsnotify.Create)
	for _, t := range w.trees {
		if name, ok := t.name(ev.Name); ok {
			if t.lost && name != "." {
				continue
			}
			t.note(name, touched, ev.Has(fsnotify.Create))
		}
	}
}

// note looks at a name of which an event told; came says that something got the name.
func (t *tree) note(name string, touched, came bool) {
	before, known := t.seen[name]
	if known && before.mode.IsDir() && !touched {
		if info, err := os.Lstat(t.abs(name)); err == nil && info.IsDir() && entryOf(info).id == before.id {
			if now := entryOf(info); now != before && name != "." {
				t.seen[name] = now
				t.tell(name, before)
			}
			return // its attributes: what lies inside has events of its own
		}
	}
	t.look(name, touched)
	if now := t.seen[name]; came && known && before.mode.IsDir() && now.mode.IsDir() && now.id == before.id && name != "." {
		t.again(name) // it was away, and may have been missed
	}
}

// failed looks at everything, since events may be lost. Only EINVAL is no trouble: a
// watch was to be removed that had gone with its directory.
func (w *Watcher) failed(err error) {
	w.scan()
	if !errors.Is(err, fsnotify.ErrEventOverflow) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) {
		w.trouble = err
	}
}

// scan looks at everything.
func (w *Watcher) scan() {
	w.swept = time.Now()
	for _, t := range w.trees {
		t.look(".", false)
	}
}
