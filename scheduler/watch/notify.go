package watch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// pollInterval is how often everything is looked at where events do not serve.
const pollInterval = 500 * time.Millisecond

// sweepInterval is how often everything is looked at where events tell only of some
// changes.
const sweepInterval = 2 * time.Second

// listen begins to be told of changes, if the roots lie where that works.
func (w *Watcher) listen() {
	for _, t := range w.trees {
		switch kind, name := fileSystem(t.base); kind {
		case remote:
			w.trouble = fmt.Errorf("%s lies on %s, whose other users' changes inotify does not tell", t.base, name)
			return
		case layered:
			w.sweeps = true
		}
	}
	if w.events, w.trouble = w.instance.listen(); w.trouble != nil {
		w.events = nil
		return
	}
	for _, dir := range w.outside {
		if info, err := os.Lstat(dir); err == nil {
			w.enter(dir, entryOf(info).id)
		}
	}
}

// drain takes errors as they come: fsnotify holds its lock while it hands one over,
// and who waits for that lock could not take it. Any one that gets through has
// everything looked at, so the rest may be lost.
func drain(from <-chan error, to chan<- error) {
	for err := range from {
		select {
		case to <- err:
		default:
		}
	}
}

// poll goes on without events.
func (w *Watcher) poll() {
	w.close()
	w.events = nil
	if !errors.Is(w.trouble, errAsked) {
		w.warn(fmt.Sprintf("looking for changes every %v only: %v", pollInterval, reason(w.trouble)))
	}
}

// reason names the limit to raise.
func reason(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "there are no inotify watches left; sysctl fs.inotify.max_user_watches=524288 allows more"
	case errors.Is(err, syscall.EMFILE):
		return "there are no inotify instances left; sysctl fs.inotify.max_user_instances=1024 allows more"
	}
	return err.Error()
}

// Close ends a watcher that was never run.
func (w *Watcher) Close() { w.close() }

func (w *Watcher) close() {
	if w.events != nil {
		w.events.Close()
	}
}

// enter watches a directory. One that is still watched under a former name is let go
// of first: its watch would tell that name, and end with it.
func (w *Watcher) enter(dir string, id inode) {
	if w.events == nil || w.trouble != nil {
		return
	}
	if former, ok := w.paths[id]; ok && former != dir {
		w.forget(former)
	}
	if other, ok := w.inodes[dir]; ok && other != id {
		w.forget(dir)
	}
	// What is gone again, or may not be read, has no changes to tell of.
	switch err := w.events.Add(dir); {
	case err == nil:
		w.paths[id], w.inodes[dir] = dir, id
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.ENOMEM):
		w.trouble = err
	}
}

func (w *Watcher) forget(dir string) {
	id, ok := w.inodes[dir]
	if !ok {
		return
	}
	w.events.Remove(dir) // it may have gone with the directory
	delete(w.inodes, dir)
	delete(w.paths, id)
}

// leave ends the watch of a directory that no other root needs.
func (w *Watcher) leave(dir string) {
	if w.events == nil || slices.Contains(w.outside, dir) {
		return
	}
	w.forget(dir)
	for _, t := range w.trees {
		// Another tree may not have been told yet, or have no reason to be.
		if name, ok := t.name(dir); ok && t.seen[name].mode.IsDir() && !t.lost && same(dir, t.seen[name].id) {
			w.enter(dir, t.seen[name].id)
		}
	}
}

// reach is whose changes inotify tells of on a file system.
type reach int

const (
	whole   reach = iota
	layered       // those through the mount, not those in the layers below it
	remote        // this machine's
)

// fileSystem is what path lies on.
func fileSystem(path string) (reach, string) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return whole, ""
	}
	if uint32(st.Type) == 0x794c7630 {
		return layered, "an overlay"
	}
	name, ok := map[uint32]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x01021997: "9p", 0x65735546: "FUSE",
		0x786f4256: "a VirtualBox folder", 0x00c36400: "Ceph", 0x5346414f: "AFS",
	}[uint32(st.Type)]
	if ok {
		return remote, name
	}
	return whole, ""
}
