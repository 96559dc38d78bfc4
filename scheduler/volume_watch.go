package scheduler

import (
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// volumeWatch wakes the loop when a volume of the wish is taken away by hand: the
// volume, or its data. It costs one of the machine's inotify instances, and only
// where there are volumes.
type volumeWatch struct {
	events  *fsnotify.Watcher
	off     bool // the machine has no instance left
	watched map[string]bool
}

// watchVolumes watches the volumes that exist; called under mu, every turn. A
// directory that is removed ends its own watch.
func (c *Controller) watchVolumes(seen map[string]string) {
	w := &c.volumes
	if w.off || c.want.Down || len(c.want.Volumes) == 0 {
		return
	}
	if w.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			c.Log.Warn("volumes that are taken away by hand are missed until the next command", "error", err)
			w.off = true
			return
		}
		w.events, w.watched = events, map[string]bool{}
		go c.awaitRemovals(events)
	}
	for name := range w.watched {
		if _, there := seen[name]; !there {
			delete(w.watched, name)
		}
	}
	for _, o := range c.want.Volumes {
		if _, there := seen[o.Name]; there && !w.watched[o.Name] {
			w.watched[o.Name] = w.events.Add(c.Store.Layout.volumeDir(o.Name)) == nil
			c.Wake() // it may have gone between the look and the watch
		}
	}
}

// awaitRemovals ends when the watcher is closed.
func (c *Controller) awaitRemovals(events *fsnotify.Watcher) {
	for {
		select {
		case ev, ok := <-events.Events:
			if !ok {
				return
			}
			if ev.Has(fsnotify.Remove|fsnotify.Rename) && !isTemporary(ev.Name) {
				c.Wake()
			}
		case _, ok := <-events.Errors:
			if !ok {
				return
			}
			c.Wake() // events were lost
		}
	}
}

// isTemporary reports whether a name is that of a file under way to its place.
func isTemporary(path string) bool {
	match, _ := filepath.Match(".tmp-*", filepath.Base(path))
	return match
}

// mounted reports whether a container runs on a volume.
func (c *Controller) mounted(volume string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.instances {
		if _, has := i.VolumesMade[volume]; has && i.live() {
			return true
		}
	}
	return false
}

func (w *volumeWatch) close() {
	if w.events != nil {
		w.events.Close()
	}
}
