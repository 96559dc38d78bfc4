package scheduler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stack/spec"
)

// versionOf is a stack whose program is so named.
func versionOf(t *testing.T, program string) *spec.Stack {
	return loadStack(t, fmt.Sprintf(`
services:
  web:
    image: rootfs:/img
    command: [%s]
    network_mode: none
    scale: 2
    deploy:
      update_config: {parallelism: 1, order: stop-first, failure_action: rollback}
`, program))
}

// serves waits until both replicas run a program and the service's update is over.
func (b *bench) serves(program string, state UpdateState) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := b.c.await(ctx, 0, func(time.Time) (bool, error) {
		h := b.c.histories["web"]
		return h != nil && h.Update == state, nil
	})
	list := b.instances()
	b.machine.mu.Lock()
	defer b.machine.mu.Unlock()
	for _, i := range list {
		if got := b.programs[i.ID]; got != program || i.State != StateRunning {
			b.t.Errorf("%s is %s and runs %q, want %q", i.Name, i.State, got, program)
		}
	}
	if err != nil || len(list) != 2 {
		h, _ := b.store.LoadHistory("web")
		for n := range h.Revisions {
			h.Revisions[n].Recipe = nil
		}
		b.t.Fatalf("%d replicas: %v: %+v\n%s", len(list), err, h, b.c.Plan())
	}
}

func TestFailedUpdateIsRolledBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, versionOf(t, "one")); err != nil {
		t.Fatal(err)
	}
	b.serves("one", UpdateCompleted)
	second := b.instances()["p-web-2"].ID
	b.refuses("two")
	err := b.do(Command{Verb: VerbUp}, versionOf(t, "two"))
	if want := "service web: its update was rolled back to revision 1: 1 of 2 replicas failed: container p-web-1: cannot execute"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("up: %v\nwant: %s", err, want)
	}
	b.serves("one", RollbackCompleted)
	if id := b.instances()["p-web-2"].ID; id != second {
		t.Error("the replica that nobody updated was replaced")
	}
	h, err := b.store.LoadHistory("web")
	if err != nil || h.Current != 1 || h.Good != 1 || !strings.Contains(h.Revision(2).Failed, "cannot execute") {
		t.Errorf("history is %+v, %v", h, err)
	}
	// A new controller makes no more of it, and another file's commands leave it so.
	b.boot()
	if err := b.do(Command{Verb: VerbScale, Services: []string{"web"}, Scale: map[string]int{"web": 1}}, versionOf(t, "two")); err != nil {
		t.Error(err)
	}
	if err := b.do(Command{Verb: VerbScale, Services: []string{"web"}, Scale: map[string]int{"web": 2}}, versionOf(t, "two")); err != nil {
		t.Error(err)
	}
	b.serves("one", RollbackCompleted)
	b.boot()
	delete(b.refuse, "two") // the cause is gone, and its own up tries again
	if err := b.do(Command{Verb: VerbUp}, versionOf(t, "two")); err != nil {
		t.Error(err)
	}
	b.serves("two", UpdateCompleted)
	events, err := b.store.Events()
	var told []string
	for _, ev := range events {
		if ev.Type == "service" {
			told = append(told, ev.Attributes["updatestate.new"])
		}
	}
	if got := strings.Join(told, " "); err != nil || got != "updating rollback_started rollback_completed updating completed" {
		t.Errorf("the events tell %s, %v", got, err)
	}
}

// A controller that dies at any step of a rollout and its return is followed by one
// that completes it.
func TestRollbackOutlivesControllers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, versionOf(t, "one")); err != nil {
		t.Fatal(err)
	}
	b.serves("one", UpdateCompleted)
	b.refuses("two")
	for _, word := range []string{"Stopped", "Recreated", "Error", "Rolling back"} {
		text, err := spec.Encode(versionOf(t, "two"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		b.c.Enter()
		c := b.c
		err = c.Do(ctx, Command{Verb: VerbUp, Spec: text}, func(r Reply) {
			if r.Event != nil && r.Event.Progress == word {
				b.end()
				cancel()
			}
		})
		c.Leave()
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("up ended before %q: %v", word, err)
		}
		b.boot()
		b.serves("one", RollbackCompleted)
	}
}

// An image of the same name but another content is rolled back as well, and stays so.
func TestRollbackOfImage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, versionOf(t, "one")); err != nil {
		t.Fatal(err)
	}
	b.serves("one", UpdateCompleted)
	first := b.instances()["p-web-1"].Digest
	b.set(func() {
		b.build = "broken"
		b.starting = func(id string) {
			for _, i := range b.instances() {
				if i.ID == id && i.Digest != first {
					b.machine.end(id, 1)
				}
			}
		}
	})
	err := b.do(Command{Verb: VerbUp}, versionOf(t, "one"))
	if err == nil || !strings.Contains(err.Error(), "rolled back to revision 1: 1 of 2 replicas failed: container p-web-1 exited (1)") {
		t.Errorf("up: %v", err)
	}
	b.boot()
	b.serves("one", RollbackCompleted)
	for name, i := range b.instances() {
		if i.Digest != first {
			t.Errorf("%s is made of %s, want %s", name, i.Digest, first)
		}
	}
}

// A live edit that fails is rolled back too, also by a controller that has not seen
// the image before; the next edit, of something else, does not try it again.
func TestLiveEditIsRolledBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.do(Command{Verb: VerbUp}, versionOf(t, "one")); err != nil {
		t.Fatal(err)
	}
	b.serves("one", UpdateCompleted)
	b.boot()
	b.set(func() { b.build = "pushed meanwhile" })
	b.refuses("two")
	digest := b.instances()["p-web-1"].Digest
	base, _ := b.c.present()
	about, err := b.c.applyEdit(versionOf(t, "two"), base, LiveSource{})
	if err != nil {
		t.Fatal(err)
	}
	err = b.c.follow(context.Background(), Command{Verb: VerbUp}, about)
	if err == nil || !strings.Contains(err.Error(), "rolled back to revision 1") {
		t.Errorf("the edit: %v", err)
	}
	b.serves("one", RollbackCompleted)
	for name, i := range b.instances() {
		if i.Digest != digest {
			t.Errorf("%s has another image, which nobody asked for", name)
		}
	}
	for _, edit := range []struct{ program, want string }{{"two", "one"}, {"three", "three"}} {
		st, err := b.c.keepReturns(versionOf(t, edit.program))
		if err != nil || st.Services["web"].Command[0] != edit.want {
			t.Errorf("with %s in the file %s is wanted, %v", edit.program, st.Services["web"].Command, err)
		}
	}
}

func TestRollbackCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, program := range []string{"one", "two", "three"} {
		if err := b.do(Command{Verb: VerbUp}, versionOf(t, program)); err != nil {
			t.Fatal(err)
		}
		b.serves(program, UpdateCompleted)
	}
	for _, c := range []struct {
		cmd     Command
		program string
		err     string
	}{
		{Command{}, "two", ""},
		{Command{Services: []string{"web"}}, "one", ""},
		{Command{Services: []string{"web"}}, "one", "no earlier revision"},
		{Command{Services: []string{"web"}, Revision: 3}, "three", ""},
		{Command{Services: []string{"web"}, Revision: 9}, "three", "revision 9 of service web is not kept"},
		{Command{Services: []string{"db"}}, "three", "service db has no revisions"},
	} {
		c.cmd.Verb = VerbRollback
		err := b.do(c.cmd, nil)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %v, want %q", c.cmd, err, c.err)
		}
		b.serves(c.program, RollbackCompleted)
	}
	st, err := os.Stat(filepath.Join(b.store.revisions(), "web.json"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the revisions' file is %v, %v", st, err)
	}
}
