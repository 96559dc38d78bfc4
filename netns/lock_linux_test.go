package netns

import (
	"testing"
	"time"
)

// Projects with different state directories meet in one network namespace: they must
// not choose a subnet at the same moment.
func TestLockIsTheMachines(t *testing.T) {
	unlock, err := newStore(t.TempDir()).lock()
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error)
	other := newStore(t.TempDir())
	go func() {
		unlock, err := other.lock()
		if err == nil {
			unlock()
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		t.Errorf("two hold the lock at once (%v)", err)
		unlock()
	case <-time.After(50 * time.Millisecond): // of a lock that takes microseconds
		unlock()
		if err := <-locked; err != nil {
			t.Error(err)
		}
	}
}
