package netns

import (
	"os"
	"testing"
	"time"
)

// A stack that is stopped, and so reads nothing, must not hold up those it shares a
// network with: they tell it with the network's lock held.
func TestTellWaitsForNobody(t *testing.T) {
	e := newStore(t.TempDir()).entry("aa")
	if err := os.Mkdir(e.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	deaf := &entry{id: e.id, dir: e.dir, self: socketName("deaf")}
	c, err := deaf.listenChanges()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 { // net.unix.max_dgram_qlen is 512 at most by default
			e.tell()
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("it waits for a reader")
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var b [1]byte
	if _, _, err := c.ReadFromUnix(b[:]); err != nil {
		t.Errorf("nothing was told: %v", err)
	}
}
