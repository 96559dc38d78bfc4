package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stack/runtime/image"
)

// Revision is one configuration that a service had: its part of the file and the
// image that this meant then.
type Revision struct {
	Number int
	// Sequence is the command that asked for it first, at Created.
	Sequence uint64
	Created  time.Time
	// Hash and Digest, and those of the images that it mounts by reference, tell it
	// from others.
	Hash, Digest string
	Sources      map[string]string `json:",omitempty"`
	Image        string            // as the file names it
	// Proved is when all its replicas served; Failed why an update to it did not succeed.
	Proved time.Time `json:",omitzero"`
	Failed string    `json:",omitempty"`
	// Secrets are the digests of those whose content came with the stack; Wish has it.
	Secrets []string `json:",omitempty"`
	// Recipe is nil in memory.
	Recipe *Recipe `json:",omitempty"`
}

// Recipe is what a revision's replicas are made of.
type Recipe struct {
	// Service is spec.EncodeService's; Objects are the networks, volumes, secrets and
	// configs that it names, as spec.Encode gives them, contents by digest.
	Service, Objects json.RawMessage
	Image            image.Image
	// Digests are the SHA-256 of the contents of "secrets/KEY" and "configs/KEY".
	Digests map[string]string `json:",omitempty"`
	// Contents are those of configs, not of secrets, by "configs/KEY".
	Contents map[string]string `json:",omitempty"`
}

// UpdateState is how far a service is on its way to its present configuration; the
// words are Docker's.
type UpdateState string

const (
	UpdateUpdating    UpdateState = "updating"
	UpdatePaused      UpdateState = "paused"
	UpdateCompleted   UpdateState = "completed"
	RollbackStarted   UpdateState = "rollback_started"
	RollbackPaused    UpdateState = "rollback_paused"
	RollbackCompleted UpdateState = "rollback_completed"
)

const (
	historyVersion = 1
	revisionsKept  = 5
	contentMost    = 1 << 20 // bytes of a config that a revision keeps
)

// Over reports whether the configuration has proved itself.
func (s UpdateState) Over() bool { return s == UpdateCompleted || s == RollbackCompleted }

// History is what a service was and is to be, the last few revisions, oldest first:
// LIB/projects/PROJECT/revisions/SERVICE.json (0600, version historyVersion).
type History struct {
	Version int
	// Current is the number of the revision that is wished, since the command
	// Sequence; Good that of the last one that proved itself, 0 for none.
	Current, Good int
	Sequence      uint64
	Update        UpdateState
	// From is the revision that the service was taken back from, 0 when it was not;
	// Cause why that was done, or why the update is paused.
	From      int    `json:",omitempty"`
	Cause     string `json:",omitempty"`
	Revisions []Revision
}

// Note is what people should know of an update that did not simply succeed, or "".
func (h *History) Note() string {
	switch {
	case h.Good == 0 || h.Update == UpdateCompleted:
		return ""
	case h.Update == UpdateUpdating:
		return fmt.Sprintf("an update to revision %d is under way", h.Current)
	case h.Update == UpdatePaused, h.Update == RollbackPaused:
		return h.Cause
	}
	what := fmt.Sprintf("rolled back from revision %d to %d", h.From, h.Current)
	if h.Update == RollbackStarted {
		what = fmt.Sprintf("a rollback from revision %d to %d is under way", h.From, h.Current)
	}
	if h.Cause != "" {
		what += ": " + h.Cause
	}
	return what
}

// Revision returns the one of a number, or nil.
func (h *History) Revision(number int) *Revision {
	at := slices.IndexFunc(h.Revisions, func(r Revision) bool { return r.Number == number })
	if at < 0 {
		return nil
	}
	return &h.Revisions[at]
}

// Before returns the newest revision older than the present one that once proved
// itself, or nil.
func (h *History) Before() *Revision {
	for _, r := range slices.Backward(h.Revisions) {
		if r.Number < h.Current && !r.Proved.IsZero() {
			return &r
		}
	}
	return nil
}

// add makes r the present revision, as a new one unless it is known, and returns it.
func (h *History) add(r Revision) *Revision {
	h.From, h.Cause = 0, ""
	last := 0
	for n := range h.Revisions {
		known := &h.Revisions[n]
		if last = max(last, known.Number); known.Hash == r.Hash && known.Digest == r.Digest && maps.Equal(known.Sources, r.Sources) {
			known.Failed = ""
			h.Current = known.Number
			return known
		}
	}
	r.Number = last + 1
	h.Current = r.Number
	h.Revisions = append(h.Revisions, r)
	for n := 0; len(h.Revisions) > revisionsKept; {
		if number := h.Revisions[n].Number; number == h.Good || number == h.Current {
			n++
			continue
		}
		h.Revisions = slices.Delete(h.Revisions, n, n+1)
	}
	return h.Revision(r.Number)
}

// light is h without recipes.
func (h *History) light() *History {
	out := *h
	out.Revisions = slices.Clone(h.Revisions)
	for n := range out.Revisions {
		out.Revisions[n].Recipe = nil
	}
	return &out
}

// LoadHistory returns the revisions of a service; none when nothing is recorded.
func (s *Store) LoadHistory(service string) (History, error) {
	var h History
	path := filepath.Join(s.revisions(), service+".json")
	if err := readJSON(path, &h); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return History{}, err
	}
	return h, sameFormat(path, h.Version, historyVersion)
}

// Histories returns the revisions of all services of the project.
func (s *Store) Histories() (map[string]*History, error) {
	out := map[string]*History{}
	entries, err := os.ReadDir(s.revisions())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read revisions: %w", err)
	}
	for _, e := range entries {
		service, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		h, err := s.LoadHistory(service)
		if err != nil {
			return nil, err
		}
		out[service] = &h
	}
	return out, nil
}

func (s *Store) saveHistory(service string, h History) error {
	if err := os.MkdirAll(s.revisions(), 0o700); err != nil {
		return fmt.Errorf("cannot record state: %w", err)
	}
	h.Version = historyVersion
	return writeJSON(filepath.Join(s.revisions(), service+".json"), h)
}

func (s *Store) revisions() string { return filepath.Join(s.dir(), "revisions") }
