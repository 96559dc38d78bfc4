package scheduler

import (
	"strings"
	"testing"
	"time"
)

// TestCommandsWaitForTheirOwn: what another service's container is busy with for
// long holds up no rm, stop or start of a container.
func TestCommandsWaitForTheirOwn(t *testing.T) {
	b := newBench(t)
	b.set(func() { b.stubborn["web"] = true })
	b.must(Command{Verb: VerbUp}, twoServices)
	long := time.Minute
	stopping := make(chan error, 1)
	go func() {
		stopping <- b.c.Do(t.Context(), Command{Verb: VerbStop, Services: []string{"web"}, Timeout: &long}, func(Reply) {})
	}()
	eventually(t, "web is stopping", func() bool { return b.instances()["p-web-1"].State == StateStopping })
	for _, cmd := range []Command{
		{Verb: VerbStop, Containers: []string{"p-db-1"}},
		{Verb: VerbStart, Containers: []string{"p-db-1"}},
		{Verb: VerbRemove, Containers: []string{"p-db-1"}, Force: true},
	} {
		b.must(cmd, "")
	}
	if b.instances()["p-db-1"] != nil || b.instances()["p-web-1"].State != StateStopping {
		t.Error("db is still there, or web was waited for")
	}
	select {
	case err := <-stopping:
		t.Errorf("the stop ended: %v", err)
	default:
	}
	b.machine.end(b.instances()["p-web-1"].ID, 0)
	if err := <-stopping; err != nil {
		t.Error(err)
	}
}

func TestStartOfContainerTellsItsFailure(t *testing.T) {
	b := newBench(t)
	b.must(Command{Verb: VerbUp}, twoServices)
	b.must(Command{Verb: VerbStop, Containers: []string{"p-db-1"}}, "")
	b.refuses("db")
	err := b.do(Command{Verb: VerbStart, Containers: []string{"p-db-1"}}, nil)
	if err == nil || !strings.Contains(err.Error(), `container p-db-1: cannot execute "db"`) {
		t.Errorf("start: %v", err)
	}
}
