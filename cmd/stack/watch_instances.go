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
			if !send(ctx, w, out, list) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case _, ok := <-w.Events:
				if !ok {
					return
				}
			case <-w.Errors: // events were lost: look again
			}
		}
	}()
	return out, nil
}

// send offers a list until it is taken or outdated; false when ctx ended.
func send(ctx context.Context, w *fsnotify.Watcher, out chan<- []*scheduler.Instance, list []*scheduler.Instance) bool {
	select {
	case <-ctx.Done():
		return false
	case out <- list:
	}
	return true
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
