package scheduler

import (
	"fmt"
	"testing"

	"stack/runtime/shim"
)

// A start that fails because the shim has died is nobody's failure: the controller
// that follows makes it again, without a command.
func TestStartSurvivesTheShim(t *testing.T) {
	b := newBench(t)
	b.machine.mu.Lock()
	b.shimGone = fmt.Errorf("cannot forget: %w", shim.ErrGone)
	b.machine.mu.Unlock()
	up := make(chan error, 1)
	c := b.c
	st := loadStack(t, twoServices)
	go func() { up <- b.do(Command{Verb: VerbUp}, st) }()
	eventually(t, "starts are under way", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, op := range c.inFlight {
			if op.Kind == OpStart {
				return true
			}
		}
		return false
	})
	b.machine.mu.Lock()
	b.shimGone = nil
	b.machine.mu.Unlock()
	b.end()
	<-up
	b.boot()
	eventually(t, "all of it runs", func() bool {
		for _, i := range b.instances() {
			if i.State != StateRunning || i.Error != "" {
				return false
			}
		}
		return len(b.instances()) > 0
	})
}
