package cgroup

import (
	"errors"
	"fmt"
	"time"
)

func (g *v1) pids() ([]int, error) { return processes(g.reference()) }

// freezeLimit bounds the wait for processes to stop. One that sleeps in the
// kernel without reacting to signals cannot be frozen.
const freezeLimit = 2 * time.Second

// creatorLimit bounds the wait for threads on their way through the group.
const creatorLimit = 500 * time.Millisecond

// awaitCreators waits until no process has a mere thread in the group. A thread
// that forked a container's first process takes some moments to end; frozen then,
// it would hold the locks of its own process for ever, and that is us.
func (g *v1) awaitCreators() error {
	b := newBackoff(creatorLimit)
	for {
		passing, err := hasVisitors(g.reference())
		if err != nil || !passing {
			return err
		}
		if !b.wait() {
			return fmt.Errorf("a thread of another process is in it: %w", ErrBusy)
		}
	}
}

// freeze waits until no process runs; version 1 tells nobody when that is.
func (g *v1) freeze(on bool) error {
	file := g.file("freezer", "freezer.state")
	if file == "" {
		return errors.New("this machine has no freezer controller")
	}
	want := "THAWED"
	if on {
		want = "FROZEN"
		if err := g.awaitCreators(); err != nil {
			return err
		}
	}
	b := newBackoff(freezeLimit)
	for {
		// Each write tries again to stop what did not stop at first.
		if err := writeFile(file, want); err != nil {
			return notFound(err)
		}
		is, err := readValue(file)
		if err != nil {
			return notFound(err)
		}
		if is == want {
			return nil
		}
		if !b.wait() {
			return errors.Join(fmt.Errorf("its processes do not stop within %s", freezeLimit), writeFile(file, "THAWED"))
		}
	}
}

// notFound turns the absence of a group's file into ErrNotFound.
func notFound(err error) error {
	if gone(err) {
		return ErrNotFound
	}
	return err
}

func (g *v1) frozen() (bool, error) {
	file := g.file("freezer", "freezer.state")
	if file == "" {
		return false, nil
	}
	is, err := readValue(file)
	return is == "FROZEN" || is == "FREEZING", notFound(err)
}

// kill freezes first, so that none forks while the others are signalled. Where
// freezing fails it kills until nothing is left.
func (g *v1) kill(limit time.Duration) error {
	if !exists(g.reference()) {
		return nil
	}
	return killFrozen(g, limit)
}

// release thaws every group below, too: a killed process dies only when neither
// its group nor one above it is frozen.
func (g *v1) release() error {
	file := g.file("freezer", "")
	if file == "" {
		return nil
	}
	return walk(file, func(dir string) error { return writeFile(dir+"/freezer.state", "THAWED") })
}

// freezable is what killFrozen needs of a group.
type freezable interface {
	pids() ([]int, error)
	freeze(on bool) error
	// release lets signalled processes die.
	release() error
}

// exitLimit bounds the wait for killed processes before they are counted, and
// killed, again.
const exitLimit = 200 * time.Millisecond

func killFrozen(g freezable, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		pids, err := g.pids()
		if err != nil || len(pids) == 0 {
			return err
		}
		// What cannot be frozen is killed without; the loop gets what forked.
		_ = g.freeze(true)
		if err := errors.Join(signalAll(g), g.release()); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return ErrBusy
		}
		if err := awaitExit(pids, exitLimit); err != nil {
			return err
		}
	}
}
