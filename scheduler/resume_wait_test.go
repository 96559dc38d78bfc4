package scheduler

import (
	"context"
	"errors"
	"testing"
	"time"

	"stack/spec"
)

// A command changes nothing before a controller knows which containers ended while there
// was none.
func TestCommandsWaitForResume(t *testing.T) {
	b := newBench(t)
	c, err := NewController(b.c.Config) // which does not run
	if err != nil {
		t.Fatal(err)
	}
	text, err := spec.Encode(loadStack(t, twoServices))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Do(ctx, Command{Verb: VerbUp, Spec: text}, func(Reply) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("up: %v", err)
	}
	if w, err := b.store.LoadWish(); err == nil && w.Stack != nil {
		t.Error("it was obeyed before")
	}
}
