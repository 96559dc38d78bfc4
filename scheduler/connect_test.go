package scheduler

import (
	"fmt"
	"sync"
	"testing"
)

// Networks made at the same time are all recorded: who resumes after a crash names
// the neighbours on each.
func TestNetworksMadeAtOnce(t *testing.T) {
	const networks = 8
	for range 30 {
		c := newBench(t).c
		var made sync.WaitGroup
		for n := range networks {
			key := fmt.Sprint("n", n)
			made.Go(func() {
				if err := c.setNetwork(t.Context(), key, &madeNetwork{ID: key, Name: key}); err != nil {
					t.Error(err)
				}
			})
		}
		made.Wait()
		if recorded, err := c.Store.loadNetworks(); err != nil || len(recorded) != networks {
			t.Fatalf("recorded %v, %v", recorded, err)
		}
	}
}
