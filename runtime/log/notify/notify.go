package notify

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Notifier watches the directories of log files. Safe for concurrent use.
type Notifier struct {
	watcher *fsnotify.Watcher

	mu    sync.Mutex
	dirs  map[string]int // directory → followers in it
	files map[string]map[chan struct{}]struct{}
}

// New makes a Notifier; Close it to release the inotify instance.
func New() (*Notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch files (see fs.inotify.max_user_instances): %w", err)
	}
	n := &Notifier{watcher: w, dirs: map[string]int{}, files: map[string]map[chan struct{}]struct{}{}}
	go n.dispatch()
	return n, nil
}

// Close ends all watches; their channels get one last value.
func (n *Notifier) Close() error { return n.watcher.Close() }

// Watch implements log.Notifier. The directory is watched rather than the
// file: a rotation gives the path to another file, and it may not exist yet.
func (n *Notifier) Watch(path string) (<-chan struct{}, func(), error) {
	path = filepath.Clean(path)
	dir := filepath.Dir(path)
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dirs[dir] == 0 {
		if err := n.watcher.Add(dir); err != nil {
			return nil, nil, fmt.Errorf("cannot watch %q: %w", dir, err)
		}
	}
	n.dirs[dir]++
	if n.files[path] == nil {
		n.files[path] = map[chan struct{}]struct{}{}
	}
	n.files[path][c] = struct{}{}
	var once sync.Once
	return c, func() { once.Do(func() { n.unwatch(dir, path, c) }) }, nil
}

func (n *Notifier) unwatch(dir, path string, c chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.files[path], c)
	if len(n.files[path]) == 0 {
		delete(n.files, path)
	}
	if n.dirs[dir]--; n.dirs[dir] == 0 {
		delete(n.dirs, dir)
		_ = n.watcher.Remove(dir) // fails only if the directory went first
	}
}

func (n *Notifier) dispatch() {
	for {
		select {
		case ev, ok := <-n.watcher.Events:
			if !ok {
				n.wakeAll()
				return
			}
			n.wake(ev.Name)
		case _, ok := <-n.watcher.Errors:
			if !ok {
				n.wakeAll()
				return
			}
			n.wakeAll() // the event queue overflowed: anything may have changed
		}
	}
}

func (n *Notifier) wake(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.files[path] {
		signal(c)
	}
}

func (n *Notifier) wakeAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, followers := range n.files {
		for c := range followers {
			signal(c)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
