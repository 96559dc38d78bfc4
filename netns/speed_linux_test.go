package netns

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestFiftyAtOnce prints the cost of an endpoint, and fails only when it is so
// high that something must be quadratic or serialised with waiting.
func TestFiftyAtOnce(t *testing.T) {
	const n = 50
	l, ctx := newLab(t), context.Background()
	h := l.open("many")
	front := network("many", "front")
	front.Size = n
	c := Config{Networks: []Network{front}}
	var all []container
	for i := range n {
		all = append(all, l.container(fmt.Sprintf("c%d", i)))
		c.Endpoints = append(c.Endpoints, endpoints(all[i].id, front)...)
	}
	must(t, h.Apply(ctx, c))
	begin := time.Now()
	var wg sync.WaitGroup
	for _, one := range all {
		wg.Go(func() { l.attach(h, one, front) })
	}
	wg.Wait()
	attach := time.Since(begin) / n

	begin = time.Now()
	must(t, h.Apply(ctx, c))
	must(t, h.Apply(ctx, c))
	again := time.Since(begin) / 2

	begin = time.Now()
	for _, one := range all {
		wg.Go(func() {
			udp, tcp, err := h.ListenDNS(one.id, one.pid)
			if err != nil {
				t.Error(err)
				return
			}
			udp.Close()
			tcp.Close()
		})
	}
	wg.Wait()
	dns := time.Since(begin) / n

	begin = time.Now()
	for _, one := range all {
		wg.Go(func() {
			if err := h.Detach(ctx, one.id); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	detach := time.Since(begin) / n
	t.Logf("an endpoint of %d at once: attach %v, resolver %v, detach %v; Apply with nothing to do %v", n, attach, dns, detach, again)
	if attach > 200*time.Millisecond || detach > 200*time.Millisecond { // 4 and 2 ms on a quiet machine
		t.Errorf("an endpoint costs too much: attach %v, detach %v", attach, detach)
	}
	must(t, h.Remove(ctx))
}
