package scheduler

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PreviewRollback is the whole way that VerbRollback would go, from the records: nothing
// is started.
func (s *Store) PreviewRollback(cmd Command, now time.Time) (Plan, error) {
	w, err := s.LoadWish()
	if err != nil {
		return Plan{}, err
	}
	if w.Stack == nil || w.Down {
		return Plan{}, errNotUp
	}
	histories, err := s.Histories()
	if err != nil {
		return Plan{}, err
	}
	to, err := Returns(histories, cmd)
	if err != nil {
		return Plan{}, err
	}
	before, err := NewWant(w)
	if err != nil {
		return Plan{}, err
	}
	w.Sequence++
	w.Services = maps.Clone(w.Services)
	revisions := map[string]*Revision{}
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(to)) {
		h, err := s.LoadHistory(name)
		if err != nil {
			return Plan{}, err
		}
		r := h.Revision(to[name])
		if r == nil || r.Recipe == nil {
			return Plan{}, errNotKept(to[name], name)
		}
		if !r.here() {
			return Plan{}, r.gone()
		}
		told, err := w.goBack(name, *r, Rollback{From: h.Current, File: before.Hashes[name]})
		if err != nil {
			return Plan{}, err
		}
		warnings = append(warnings, told...)
		revisions[name] = r
	}
	w.begin(to, cmd)
	want, seen, err := s.wantAndSeen(w, now)
	if err != nil {
		return Plan{}, err
	}
	for name, r := range revisions {
		seen.Digests[name], seen.Sources[name] = r.Recipe.Image.Digest, r.Sources
	}
	p := Foresee(want, seen, now)
	p.Warnings = append(p.Warnings, warnings...)
	return p, nil
}

var errNotUp = errors.New("the project is not up")

func errNotKept(revision int, service string) error {
	return fmt.Errorf("revision %d of service %s is not kept", revision, service)
}
