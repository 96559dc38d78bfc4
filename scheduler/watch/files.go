package watch

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Files tells that some of a set of files may have changed, come or gone, once they
// rest. It watches their directories and those that links lead to, so it matters not
// whether an editor writes a file or renames another over it. What changed is for
// the reader to find out: nothing may have.
type Files struct {
	// C gets the time of the first change that was not told yet.
	C <-chan time.Time

	c        chan time.Time
	set      chan setting
	warn     func(string)
	instance *Instance
	events   *listener
	dirs     map[string]bool // watched
	paths    map[string]look // what was last seen of each file, by path
	rest     window
}

// NewFiles watches nothing yet. instance may be shared with other watchers, or nil. warn is told when events do not serve, and changes
// are looked for by the clock.
func NewFiles(instance *Instance, warn func(string)) *Files {
	if instance == nil {
		instance = new(Instance)
	}
	c := make(chan time.Time, 1)
	return &Files{C: c, c: c, instance: instance, set: make(chan setting), warn: warn, dirs: map[string]bool{}, paths: map[string]look{}}
}

// setting is a set that is to be followed from when done is closed.
type setting struct {
	paths []string
	done  chan struct{}
}

// Set names the files to watch from now on. A change after the call is told.
func (f *Files) Set(ctx context.Context, paths []string) {
	s := setting{paths, make(chan struct{})}
	select {
	case f.set <- s:
	case <-ctx.Done():
		return
	}
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}

// Run watches until ctx ends.
func (f *Files) Run(ctx context.Context) {
	f.listen()
	defer func() {
		if f.events != nil {
			f.events.Close()
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var events <-chan fsnotify.Event
		var errs <-chan error
		if f.events != nil {
			events, errs = f.events.Events, f.events.Errors
		}
		select {
		case <-ctx.Done():
			return
		case s := <-f.set:
			f.follow(s.paths)
			close(s.done)
		case ev := <-events:
			if f.concerns(ev.Name) {
				f.rest.saw(time.Now())
			}
		case <-errs: // some events may be lost
			f.rest.saw(time.Now())
		case <-timer.C:
		}
		timer.Reset(f.tell(time.Now()))
	}
}

func (f *Files) listen() {
	events, err := f.instance.listen()
	if err != nil {
		f.warn("looking for changes every " + pollInterval.String() + " only: " + reason(err))
		return
	}
	f.events = events
}

// tell tells what has come to rest and returns when to look again.
func (f *Files) tell(now time.Time) time.Duration {
	if due := f.rest.due(1); !due.IsZero() {
		if left := due.Sub(now); left > 0 {
			return left
		}
		if !f.rest.refilling && f.emptied() {
			f.rest.refilling, f.rest.last = true, now
			return refill
		}
		first := f.rest.first
		f.rest = window{}
		if f.look() {
			select {
			case f.c <- first:
			default:
			}
		}
	}
	if f.events == nil || f.incomplete() {
		f.rest.saw(now)
		return pollInterval
	}
	return time.Hour
}

// incomplete reports whether a directory was not watched until now, because it was
// missing, and its coming was not told.
func (f *Files) incomplete() bool {
	missing := false
	for dir, ok := range f.dirs {
		if !ok {
			f.dirs[dir] = f.events.Add(dir) == nil
			missing = true
		}
	}
	return missing
}

// follow makes paths the set.
func (f *Files) follow(paths []string) {
	had := f.paths
	f.paths = map[string]look{}
	for _, path := range paths {
		f.paths[path] = had[path]
	}
	f.enter()
	for _, path := range paths {
		if _, known := had[path]; !known {
			f.paths[path] = lookAt(path) // after it is watched: what comes later is an event
		}
	}
}

// enter watches the directories of the files and of what links lead to.
func (f *Files) enter() {
	if f.events == nil {
		return
	}
	wanted := map[string]bool{}
	for path := range f.paths {
		wanted[filepath.Dir(path)] = true
		if real, err := filepath.EvalSymlinks(path); err == nil {
			wanted[filepath.Dir(real)] = true
		}
	}
	for dir := range f.dirs {
		if !wanted[dir] {
			f.events.Remove(dir) // it may be gone
			delete(f.dirs, dir)
		}
	}
	for dir := range wanted {
		if !f.dirs[dir] {
			f.dirs[dir] = f.events.Add(dir) == nil
		}
	}
}

// concerns reports whether an event may be about one of the files; one about a watched
// directory itself means that its watch may have ended.
func (f *Files) concerns(name string) bool {
	if _, ok := f.dirs[name]; ok {
		f.events.Remove(name) // it may have gone with it
		f.dirs[name] = false
		return true
	}
	for path, seen := range f.paths {
		if name == seen.real || filepath.Base(path) == filepath.Base(name) {
			return true
		}
	}
	// A link on the way, such as ..data of a mounted config.
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// look reports whether a file is another one, or another text, than at the last look.
// It looks again once what links lead to now is watched.
func (f *Files) look() bool {
	changed := f.see()
	f.enter()
	return f.see() || changed
}

func (f *Files) see() bool {
	changed := false
	for path, before := range f.paths {
		if now := lookAt(path); now != before {
			f.paths[path], changed = now, true
		}
	}
	return changed
}

// emptied reports whether a file is empty or gone that was not: most often its editor
// is about to fill it.
func (f *Files) emptied() bool {
	for path, before := range f.paths {
		if before.size > 0 && lookAt(path).size == 0 {
			return true
		}
	}
	return false
}

// look is what tells a file from another: where it lies, and what it is.
type look struct {
	real string
	entry
}

func lookAt(path string) look {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return look{}
	}
	info, err := os.Stat(real)
	if err != nil {
		return look{real: real}
	}
	return look{real, entryOf(info)}
}
