package scheduler

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"stack/runtime/log"
)

// rollBack performs OpRollback: the wish is what it was before the update that failed.
func (c *Controller) rollBack(op Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	sw, wished := c.want.Services[op.Service]
	if u, underway := updates(c.histories)[op.Service]; !wished || sw.Rollback != nil || !underway || u.Good != op.Number {
		return nil // a command came between
	}
	w, warnings, err := c.takeBack(map[string]int{op.Service: op.Number}, op.Cause)
	if err != nil {
		return fmt.Errorf("cannot roll back service %s: %w", op.Service, err)
	}
	if i := c.instances[op.Instance]; i != nil { // its log goes with it
		if lines := lastLines(c.Store.LogPath(i.ID)); lines != "" {
			warnings = append(warnings, "last lines of "+i.Name+":"+lines)
		}
	}
	c.emit(Event{Type: "service", Service: op.Service, Name: op.Service, Warnings: warnings})
	return c.adopt(w)
}

// lastLinesMost is how many lines of a failed replica's log are told.
const lastLinesMost = 10

// lastLines are the last lines of a log, each on a line of its own, safe for terminals.
func lastLines(path string) string {
	r, err := log.Open(path, log.ReadOptions{Tail: lastLinesMost})
	if err != nil {
		return ""
	}
	defer r.Close()
	var b strings.Builder
	for b.Len() < outputLimit {
		e, err := r.Next(context.Background())
		if err != nil {
			break
		}
		text := strings.Map(func(r rune) rune {
			if unicode.IsControl(r) && r != '\t' {
				return -1
			}
			return r
		}, e.Text)
		b.WriteString("\n  " + text)
	}
	return b.String()
}

// takeBack returns the wish with services as they were in revisions, by number;
// called under mu.
func (c *Controller) takeBack(to map[string]int, cause string) (w Wish, warnings []string, err error) {
	w = c.want.Wish
	w.Sequence++
	w.Services = maps.Clone(w.Services)
	for _, name := range slices.Sorted(maps.Keys(to)) {
		h, err := c.Store.LoadHistory(name)
		if err != nil {
			return w, nil, err
		}
		r := h.Revision(to[name])
		if r == nil || r.Recipe == nil {
			return w, nil, errNotKept(to[name], name)
		}
		back := Rollback{From: h.Current, File: c.want.Hashes[name], Cause: cause}
		told, err := w.goBack(name, *r, back)
		if err != nil {
			return w, nil, err
		}
		if !c.pin(name, r) {
			return w, nil, r.gone()
		}
		warnings = append(warnings, told...)
	}
	c.keepContents(&w)
	return w, warnings, nil
}

// goBack makes a service in w, whose maps are its own, what it was in a revision; back
// says where from.
func (w *Wish) goBack(name string, r Revision, back Rollback) (warnings []string, err error) {
	back.Sequence, back.To, back.Settings = w.Sequence, r.Number, rollbackSettings(w.Stack.Services[name].Deploy)
	st, warnings, err := restore(w.Stack, r, w.Contents)
	if err != nil {
		return nil, err
	}
	sw := w.Services[name]
	if sw.Rollback != nil {
		back.File = sw.Rollback.File
	}
	sw.Hash, sw.NoRecreate, sw.Recreate = r.Hash, false, 0
	sw.Rollback = &back
	w.Stack, w.Services[name] = st, sw
	return warnings, nil
}

// applyRollback is apply for a person's rollback.
func (c *Controller) applyRollback(cmd Command) (subject, []string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want.Down || c.want.Stack == nil {
		return subject{}, nil, errNotUp
	}
	to, err := Returns(c.histories, cmd)
	if err != nil {
		return subject{}, nil, err
	}
	w, warnings, err := c.takeBack(to, "")
	if err != nil {
		return subject{}, nil, err
	}
	w.begin(to, cmd)
	return subject{services: slices.Sorted(maps.Keys(to)), sequence: w.Sequence}, warnings, c.adopt(w)
}

// begin has the services of a person's rollback run.
func (w *Wish) begin(to map[string]int, cmd Command) {
	for name := range to {
		sw := w.Services[name]
		sw.Start = w.Sequence
		if cmd.Timeout != nil {
			sw.Grace = cmd.Timeout
		}
		w.Services[name] = sw
	}
}

// Returns chooses the revisions that a rollback leads to: of the services that it
// names the one before, or the one of its number; without a name it takes back what
// the last command that changed anything changed.
func Returns(histories map[string]*History, cmd Command) (map[string]int, error) {
	to := map[string]int{}
	if cmd.Revision != 0 && len(cmd.Services) != 1 {
		return nil, errors.New("a revision is that of one service: name it")
	}
	services := cmd.Services
	if len(services) == 0 {
		services = changedLast(histories)
	}
	if len(services) == 0 {
		return nil, errors.New("there is no earlier revision of any service")
	}
	for _, name := range services {
		h := histories[name]
		switch {
		case h == nil:
			return nil, fmt.Errorf("service %s has no revisions", name)
		case cmd.Revision != 0 && h.Revision(cmd.Revision) == nil:
			return nil, errNotKept(cmd.Revision, name)
		case cmd.Revision != 0:
			to[name] = cmd.Revision
		case h.Before() == nil:
			return nil, fmt.Errorf("there is no earlier revision of service %s", name)
		default:
			to[name] = h.Before().Number
		}
	}
	return to, nil
}

// changedLast are the services whose present revision is the youngest of all that
// have an earlier one.
func changedLast(histories map[string]*History) (names []string) {
	var newest uint64
	for _, name := range slices.Sorted(maps.Keys(histories)) {
		h := histories[name]
		now := h.Revision(h.Current)
		if now == nil || h.Before() == nil || now.Sequence < newest {
			continue
		}
		if now.Sequence > newest {
			newest, names = now.Sequence, nil
		}
		names = append(names, name)
	}
	return names
}

// undone is the error of a command whose update of a service was rolled back.
func (c *Controller) undone(about subject) error {
	var errs []error
	for _, name := range about.services {
		if back := c.want.Services[name].Rollback; back != nil && back.Cause != "" && back.Sequence > about.sequence {
			errs = append(errs, fmt.Errorf("service %s: its update was rolled back to revision %d: %s", name, back.To, back.Cause))
		}
	}
	return errors.Join(errs...)
}
