package netns

import (
	"os"
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

// Every user may open a namespace's own file: who locks that must hold up nobody.
func TestLockIsNobodyElses(t *testing.T) {
	needRoot(t)
	ns, err := os.Open("/proc/self/ns/net")
	if err == nil {
		defer ns.Close()
		err = lockFile(ns)
	}
	if err != nil {
		t.Fatal(err)
	}
	locked := make(chan error, 1)
	go func() {
		unlock, err := newStore(t.TempDir()).lock()
		if err == nil {
			unlock()
		}
		locked <- err
	}()
	select {
	case err := <-locked:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		ns.Close() // lets it go on
		<-locked
		t.Error("a lock that any user can take holds the machine's up")
	}
}
