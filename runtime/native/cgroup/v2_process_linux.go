package cgroup

import (
	"errors"
	"fmt"
	"os"
	"time"
)

func (g *v2) pids() ([]int, error) { return processes(g.at()) }

func (g *v2) freeze(on bool) error {
	if err := writeFile(g.at()+"/cgroup.freeze", zeroOne(on)); err != nil {
		return notFound(err)
	}
	var want uint64
	if on {
		want = 1
	}
	err := awaitEvent(g.at(), "frozen", want, freezeLimit)
	if on && errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("its processes do not stop within %s", freezeLimit)
		return errors.Join(err, writeFile(g.at()+"/cgroup.freeze", "0"))
	}
	return err
}

func (g *v2) frozen() (bool, error) {
	text, err := readValue(g.at() + "/cgroup.events")
	return keyValue(text, "frozen") == 1, notFound(err)
}

// kill writes to cgroup.kill, which also catches what forks meanwhile. Kernels
// before 5.14 do not have it, and none reaches a process whose main thread has
// ended before the others (seen on 6.1): those are killed as on version 1.
func (g *v2) kill(limit time.Duration) error {
	if !exists(g.at()) {
		return nil
	}
	err := writeFile(g.at()+"/cgroup.kill", "1")
	if gone(err) && exists(g.at()) {
		return killFrozen(g, limit)
	}
	if err == nil {
		err = awaitEvent(g.at(), "populated", 0, min(exitLimit, limit))
	}
	switch {
	case gone(err), errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return killFrozen(g, limit)
	}
	return err
}

// release thaws the group; version 2 lets killed processes die frozen, too.
func (g *v2) release() error {
	err := writeFile(g.at()+"/cgroup.freeze", "0")
	if gone(err) {
		return nil
	}
	return err
}
