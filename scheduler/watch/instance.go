package watch

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Instance is an inotify instance for several watchers: a machine has few (128 for
// all users' programs together), while a stack may have many watched services. It is
// made for the first who listens and closed with the last. The zero value is ready.
type Instance struct {
	mu        sync.Mutex
	events    *fsnotify.Watcher // nil while nobody listens
	listeners map[*listener]bool
	// A watch is the inode's, fsnotify takes paths: what is watched, by both.
	dirs  map[inode]*watchedDir
	paths map[string]inode
}

// watchedDir is a directory with a watch.
type watchedDir struct {
	path  string               // that fsnotify has
	names map[*listener]string // what the listeners call it
}

// listener is told of the events of the directories that it added, by its own names.
type listener struct {
	Events <-chan fsnotify.Event
	Errors <-chan error

	instance *Instance
	queue    *queue
	ids      map[string]inode // of the directories, by its own names
}

// listen joins an instance.
func (n *Instance) listen() (*listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			return nil, err
		}
		n.events, n.listeners = events, map[*listener]bool{}
		n.dirs, n.paths = map[inode]*watchedDir{}, map[string]inode{}
		go n.dispatch(events)
		go n.fail(events)
	}
	q := newQueue()
	l := &listener{Events: q.events, Errors: q.errs, instance: n, queue: q, ids: map[string]inode{}}
	n.listeners[l] = true
	return l, nil
}

// dispatch hands events on until the instance is closed.
func (n *Instance) dispatch(events *fsnotify.Watcher) {
	for ev := range events.Events {
		n.mu.Lock()
		if n.events == events {
			n.hand(ev)
		}
		n.mu.Unlock()
	}
}

// hand gives an event to those who added the directory that it is about, or in. One of
// a directory that has another name by now is nobody's: who has it under that one
// looked at it since.
func (n *Instance) hand(ev fsnotify.Event) {
	up, base := filepath.Split(ev.Name)
	if d := n.at(filepath.Clean(up)); d != nil {
		for l, name := range d.names {
			l.queue.put(fsnotify.Event{Name: filepath.Join(name, base), Op: ev.Op})
		}
	}
	if d := n.at(ev.Name); d != nil {
		for l, name := range d.names {
			if _, both := l.ids[filepath.Dir(name)]; !both { // told as its parent's
				l.queue.put(fsnotify.Event{Name: name, Op: ev.Op})
			}
		}
	}
}

func (n *Instance) at(path string) *watchedDir {
	id, ok := n.paths[path]
	if !ok {
		return nil
	}
	return n.dirs[id]
}

// fail hands errors to all. It takes no lock while fsnotify waits with one of its own.
func (n *Instance) fail(events *fsnotify.Watcher) {
	errs := make(chan error, 16)
	go func() {
		drain(events.Errors, errs)
		close(errs)
	}()
	for err := range errs {
		n.mu.Lock()
		if n.events == events {
			for l := range n.listeners {
				l.queue.fail(err)
			}
		}
		n.mu.Unlock()
	}
}

// Add begins to watch a directory, or goes on under another name.
func (l *listener) Add(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	id := entryOf(info).id
	n := l.instance
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.listeners[l] {
		return os.ErrClosed
	}
	if other, ok := l.ids[dir]; ok && other != id {
		n.drop(l, dir)
	}
	if other, ok := n.paths[dir]; ok && other != id {
		n.lose(dir)
	}
	d := n.dirs[id]
	if d == nil {
		d = &watchedDir{names: map[*listener]string{}}
	}
	if d.path != dir && !leads(d.path, id) {
		n.lose(d.path)
		d.path = dir
	}
	if err := n.events.Add(d.path); err != nil { // also what is watched: fsnotify ends a watch that moves
		if len(d.names) == 0 {
			delete(n.dirs, id)
		}
		return err
	}
	n.dirs[id], n.paths[d.path] = d, id
	if former, ok := d.names[l]; ok && former != dir {
		delete(l.ids, former)
	}
	d.names[l], l.ids[dir] = dir, id
	return nil
}

// leads reports whether a path is that of a directory.
func leads(path string, id inode) bool {
	info, err := os.Stat(path)
	return err == nil && entryOf(info).id == id
}

// lose ends the watch of a directory that has lost its path, and tells its listeners:
// what is under way of it has a name that nobody has any more.
func (n *Instance) lose(path string) {
	d := n.at(path)
	n.unwatch(path)
	if d == nil {
		return
	}
	d.path = ""
	for l, name := range d.names {
		l.queue.put(fsnotify.Event{Name: name, Op: fsnotify.Rename})
	}
}

// Remove ends what Add began.
func (l *listener) Remove(dir string) {
	l.instance.mu.Lock()
	defer l.instance.mu.Unlock()
	if l.instance.listeners[l] {
		l.instance.drop(l, dir)
	}
}

// drop ends the watch of a directory with the last listener.
func (n *Instance) drop(l *listener, dir string) {
	id, ok := l.ids[dir]
	if !ok {
		return
	}
	delete(l.ids, dir)
	d := n.dirs[id]
	if d == nil {
		return
	}
	if delete(d.names, l); len(d.names) == 0 {
		delete(n.dirs, id)
		n.unwatch(d.path)
	}
}

// unwatch ends a watch of fsnotify's, which may have ended with its directory.
func (n *Instance) unwatch(path string) {
	if _, ok := n.paths[path]; ok {
		delete(n.paths, path)
		removeWatch(n.events, path)
	}
}

// removeWatch outlives a fault of fsnotify (1.10.1): a watched path that leads, when it
// is added again, to a directory watched under another path loses its watch, is known
// on, and to remove it dereferences nil. Add looks where the path leads, but a
// directory can be moved between the look and inotify_add_watch(2).
func removeWatch(events *fsnotify.Watcher, path string) {
	defer func() { _ = recover() }() // before anything was changed; the lock is let go
	_ = events.Remove(path)
}

// Close ends all of a listener's watches, and the instance with the last listener.
func (l *listener) Close() {
	n := l.instance
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.listeners[l] {
		return
	}
	delete(n.listeners, l)
	l.queue.close()
	if len(n.listeners) == 0 {
		n.events.Close()
		n.events = nil
		return
	}
	for dir := range l.ids {
		n.drop(l, dir)
	}
}
