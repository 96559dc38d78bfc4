package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"stack/scheduler"
)

// followEvents calls each for the journal's events, then for every new one, until ctx
// ends. The journal is all it needs: it works with the
// controller dead, across `down` and before a first `up`.
func followEvents(ctx context.Context, s *scheduler.Store, each func(scheduler.Event) error) error {
	dir := filepath.Dir(s.EventsPath())
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("cannot watch for events: %w", err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("cannot watch for events (see fs.inotify.max_user_instances): %w", err)
	}
	defer w.Close()
	// The watch comes before the look, so nothing falls in between.
	if err := w.Add(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("cannot watch for events: %w", err)
	}
	tail := &journalTail{path: s.EventsPath()}
	defer tail.close()
	if err := tail.old(each); err != nil {
		return err
	}
	for {
		err := w.Add(dir) // again after `down` and `up` made it anew
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot watch for events: %w", err)
		}
		if err := tail.read(each); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("cannot watch for events: %w", err)
			}
		case <-w.Events:
		}
		drain(w)
	}
}

// journalTail reads a journal that grows, is rotated (a rename) and removed.
type journalTail struct {
	path string
	file *os.File
	part []byte // of a line that is being written
}

func (t *journalTail) close() {
	if t.file != nil {
		t.file.Close()
	}
}

// old reads what was rotated away.
func (t *journalTail) old(each func(scheduler.Event) error) error {
	b, err := os.ReadFile(t.path + ".1")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	t.part = nil
	return t.lines(b, each)
}

// read takes what is new in the file at hand, then in the one that took its place.
func (t *journalTail) read(each func(scheduler.Event) error) error {
	for {
		// Asked first: what the old file got until it was replaced is read below.
		replaced, err := t.replaced()
		if err != nil {
			return err
		}
		if t.file != nil {
			b, err := io.ReadAll(t.file)
			if err == nil {
				err = t.lines(b, each)
			}
			if err != nil {
				return err
			}
		}
		if !replaced {
			return nil
		}
		t.close()
		t.part = nil
		if t.file, err = os.Open(t.path); errors.Is(err, fs.ErrNotExist) {
			t.file = nil
			return nil
		} else if err != nil {
			return err
		}
	}
}

// replaced reports whether another file than the one at hand is the journal.
func (t *journalTail) replaced() (bool, error) {
	now, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || t.file == nil {
		return true, err
	}
	have, err := t.file.Stat()
	return err == nil && !os.SameFile(have, now), err
}

// lines hands out whole lines and keeps the rest. A line cut by a crash is passed over.
func (t *journalTail) lines(b []byte, each func(scheduler.Event) error) error {
	t.part = append(t.part, b...)
	for {
		line, rest, ok := bytes.Cut(t.part, []byte("\n"))
		if !ok {
			return nil
		}
		t.part = rest
		var ev scheduler.Event
		if json.Unmarshal(line, &ev) != nil {
			continue
		}
		if err := each(ev); err != nil {
			return err
		}
	}
}
