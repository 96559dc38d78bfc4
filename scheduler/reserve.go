package scheduler

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// reserved is the space that a project keeps so that it can be stopped and taken down
// on a full disk: that takes a few small files, each written before the one that it
// replaces goes.
const reserved = 64 << 10

func (s *Store) reserve() string { return filepath.Join(s.dir(), "reserve") }

// saveWish records a wish. One that has less run may take the reserve, any other
// makes it where it is missing.
func (s *Store) saveWish(before, w Wish) error {
	err := s.SaveWish(w)
	if errors.Is(err, syscall.ENOSPC) && stops(before, w) && os.Remove(s.reserve()) == nil {
		return s.SaveWish(w)
	}
	if err == nil && !stops(before, w) {
		s.keepReserve()
	}
	return err
}

// keepReserve is not told of what fails: a project starts without a reserve as well.
func (s *Store) keepReserve() {
	if info, err := os.Stat(s.reserve()); err == nil && info.Size() == reserved {
		return
	}
	if os.WriteFile(s.reserve(), make([]byte, reserved), 0o600) != nil {
		os.Remove(s.reserve())
	}
}

// stops reports whether something that is to run is not any more.
func stops(before, w Wish) bool {
	if w.Down {
		return true
	}
	for name, sw := range before.Services {
		if sw.Goal == GoalRun && w.Services[name].Goal != GoalRun {
			return true
		}
	}
	return false
}
