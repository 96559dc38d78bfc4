package scheduler

import (
	"context"
	"sync/atomic"
	"testing"
)

// TestCoalescerClose: after Close nothing runs any more, and nobody waits for it.
func TestCoalescerClose(t *testing.T) {
	var runs atomic.Int32
	begun, end := make(chan struct{}, 8), make(chan struct{})
	c := newCoalescer(func(context.Context) error {
		runs.Add(1)
		begun <- struct{}{}
		<-end
		return nil
	})
	c.Ask()
	<-begun
	c.Ask() // one more is to follow
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()
	select {
	case <-closed:
		t.Fatal("closed while a run was under way")
	default:
	}
	close(end)
	<-closed
	before := runs.Load()
	if err := c.Do(t.Context()); err != nil {
		t.Error(err)
	}
	c.Ask()
	if n := runs.Load(); n != before || before > 2 {
		t.Errorf("%d runs, %d after Close", before, n-before)
	}
}
