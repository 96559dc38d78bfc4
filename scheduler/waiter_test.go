package scheduler

import (
	"testing"
	"time"
)

// TestWaitLooksForAnEarlyDeath: who waits is not told that a replica runs before it
// ran for a while. That it died is told by the script lifecycle.
func TestWaitLooksForAnEarlyDeath(t *testing.T) {
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp, Wait: true}, loadStack(t, twoServices)); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, i := range b.instances() {
		if ran := now.Sub(i.Started); ran < earlyDeath {
			t.Errorf("%s is told to run after %v", name, ran)
		}
	}
}
