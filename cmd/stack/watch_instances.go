package main

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"

	"stack/scheduler"
)

// watchInstances sends the project's instances now and after each change, until
// ctx ends. It reads the records on disk, so it needs no controller. A receiver
// that is busy gets the newest list when it is back.
func watchInstances(ctx context.Context, s *scheduler.Store) (<-chan []*scheduler.Instance, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch containers (see fs.inotify.max_user_instances): %w", err)
	}
	for _, dir := range s.WatchDirs() {
		if err := w.Add(dir); err != nil {
			w.Close()
			return nil, fmt.Errorf("cannot watch %s: %w", dir, err)
		}
	}
	out := make(chan []*scheduler.Instance)
	go func() {
		defer close(out)
		defer w.Close()
		for {
			drain(w)
			list, err := s.Current(time.Now())
			if err != nil {
				return
			}
			if !offer(ctx, w, out, list) {
				return
			}
		}
	}()
	return out, nil
}

// offer gives a list to whoever takes it, once, until it is outdated; false when ctx
// ended.
func offer(ctx context.Context, w *fsnotify.Watcher, out chan<- []*scheduler.Instance, list []*scheduler.Instance) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case out <- list:
			out = nil // taken: what is left is to wait
		case _, ok := <-w.Events:
			return ok
		case <-w.Errors: // events were lost: look again
			return true
		}
	}
}

// drain takes the events that are there: one look answers them all.
func drain(w *fsnotify.Watcher) {
	for {
		select {
		case <-w.Events:
		default:
			return
		}
	}
}
