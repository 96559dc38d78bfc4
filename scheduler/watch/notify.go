package watch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often everything is looked at where events do not serve.
const pollInterval = 500 * time.Millisecond

// listen begins to be told of changes, if the roots lie where that works.
func (w *Watcher) listen() {
	for _, t := range w.trees {
		if name := remote(t.base); name != "" {
			w.trouble = fmt.Errorf("%s lies on %s, whose other users' changes inotify does not tell", t.base, name)
			return
		}
	}
	if w.events, w.trouble = fsnotify.NewWatcher(); w.trouble != nil {
		w.events = nil
		return
	}
	w.errs = make(chan error, 16)
	go drain(w.events.Errors, w.errs)
	for _, dir := range w.outside {
		w.enter(dir)
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

// enter watches a directory.
func (w *Watcher) enter(dir string) {
	if w.events == nil || w.trouble != nil {
		return
	}
	// What is gone again, or may not be read, has no changes to tell of.
	if err := w.events.Add(dir); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOMEM) {
		w.trouble = err
	}
}

// leave ends the watch of a directory that no other root needs. The watch goes by
// inode: one that was moved must be left under its old name before it is entered
// under the new one.
func (w *Watcher) leave(dir string) {
	if w.events == nil || slices.Contains(w.outside, dir) {
		return
	}
	w.events.Remove(dir) // it may have gone with the directory
	for _, t := range w.trees {
		if name, ok := t.name(dir); ok && t.seen[name].mode.IsDir() && !t.lost {
			w.again(t, name)
		}
	}
}

// again enters a directory that another tree saw under the same name and has not
// been told of yet, if it is still there.
func (w *Watcher) again(t *tree, name string) {
	if same(t.abs(name), t.seen[name].ino) {
		w.enter(filepath.Clean(t.abs(name)))
	}
}

// remote is the kind of a file system that other machines change.
func remote(path string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return ""
	}
	return map[uint32]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x517b: "SMB", 0x01021997: "9p", 0x65735546: "FUSE",
		0x786f4256: "a VirtualBox folder", 0x00c36400: "Ceph", 0x5346414f: "AFS",
	}[uint32(st.Type)]
}
