package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"stack/runtime"
)

func (s *suite) lifecycle(t *testing.T) {
	s.check(t, "states", s.states)
	s.check(t, "exit codes", s.exitCodes)
	s.check(t, "kill", s.kill)
	s.check(t, "kill all", s.killAll)
	s.check(t, "delete", s.delete)
	s.check(t, "unknown", s.unknown)
	s.check(t, "exists", s.exists)
	s.check(t, "hooks of the caller", s.callbacks)
	s.check(t, "list", s.list)
	s.check(t, "start twice", s.startTwice)
}

func expect[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func expectError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func (s *suite) states(t *testing.T) {
	b := s.create(t, s.shell("cat"))
	expect(t, "after create", b.state(), runtime.StatusCreated)
	b.start()
	expect(t, "after start", b.state(), runtime.Running)
	st, err := b.rt.State(background(t), b.id)
	must(t, err)
	expect(t, "pid", st.Pid, b.created.Pid)
	expect(t, "start time", st.StartTime, b.created.StartTime)
	expect(t, "user namespace", st.UserNS, true)
	must(t, b.rt.Pause(background(t), b.id))
	expect(t, "after pause", b.state(), runtime.Paused)
	must(t, b.rt.Resume(background(t), b.id))
	expect(t, "after resume", b.state(), runtime.Running)
	b.in.Close()
	expect(t, "exit code", b.wait(), 0)
	st, err = b.rt.State(background(t), b.id)
	must(t, err)
	expect(t, "after exit", st.Status, runtime.Stopped)
	expect(t, "pid after exit", st.Pid, 0)
}

func (s *suite) exitCodes(t *testing.T) {
	for _, code := range []int{0, 1, 42, 255} {
		_, got := s.run(t, s.shell(fmt.Sprintf("exit %d", code)))
		expect(t, "exit code", got, code)
	}
}

func (s *suite) kill(t *testing.T) {
	b := s.create(t, s.shell("trap 'exit 9' TERM; echo ready; while :; do read x || sleep 60; done")).start()
	b.in.Close()
	b.kill(syscall.SIGKILL)
	expect(t, "exit code", b.wait(), 128+9)
	expectError(t, "kill after exit", b.rt.Kill(background(t), b.id, syscall.SIGTERM, false), runtime.ErrNotRunning)
	expectError(t, "pause after exit", b.rt.Pause(background(t), b.id), runtime.ErrNotRunning)
}

// SIGTERM to all reaches processes beside the first, and nothing outside.
func (s *suite) killAll(t *testing.T) {
	spec := s.shell("sleep 1000 & p=$!; trap : TERM; echo up >&2; wait $p; wait $p; echo child $?; exit 3")
	out, w := pipe(t)
	b := s.create(t, spec, func(b *runtime.Bundle) { b.Stderr = w }).start()
	w.Close()
	readLine(t, out)
	must(t, b.rt.Kill(background(t), b.id, syscall.SIGTERM, true))
	expect(t, "exit code", b.wait(), 3)
	expect(t, "output", b.output(), "child 143")
}

func readLine(t testing.TB, f *os.File) string {
	t.Helper()
	var line strings.Builder
	one := make([]byte, 1)
	for {
		if _, err := f.Read(one); err != nil {
			t.Fatalf("no line: %v (%q)", err, line.String())
		}
		if one[0] == '\n' {
			return line.String()
		}
		line.WriteByte(one[0])
	}
}

func (s *suite) delete(t *testing.T) {
	b := s.waiting(t)
	expectError(t, "delete of a running one", b.rt.Delete(background(t), b.id, false), runtime.ErrRunning)
	must(t, b.rt.Delete(background(t), b.id, true))
	expect(t, "exit code", b.wait(), 128+9)
	expectError(t, "second delete", b.rt.Delete(background(t), b.id, true), runtime.ErrNotFound)

	created := s.create(t, s.shell("echo never"))
	must(t, created.rt.Delete(background(t), created.id, false))
	created.wait()
	expect(t, "output of one never started", created.output(), "")

	paused := s.waiting(t)
	must(t, paused.rt.Pause(background(t), paused.id))
	must(t, paused.rt.Delete(background(t), paused.id, true))
	expect(t, "exit code of a paused one", paused.wait(), 128+9)

	stopped := s.create(t, s.shell("exit 0")).start()
	stopped.wait()
	must(t, stopped.rt.Delete(background(t), stopped.id, false))
}

func (s *suite) unknown(t *testing.T) {
	ctx, id := background(t), newID()
	_, err := s.runtime.State(ctx, id)
	expectError(t, "state", err, runtime.ErrNotFound)
	expectError(t, "start", s.runtime.Start(ctx, id), runtime.ErrNotFound)
	expectError(t, "kill", s.runtime.Kill(ctx, id, syscall.SIGTERM, false), runtime.ErrNotFound)
	expectError(t, "delete", s.runtime.Delete(ctx, id, true), runtime.ErrNotFound)
	for _, bad := range []string{"", ".", "..", "a/b", "../x", "a b", strings.Repeat("x", 300)} {
		if _, err := s.runtime.State(ctx, bad); err == nil {
			t.Errorf("state of %q is known", bad)
		}
		spec := s.shell("exit 0")
		if _, err := s.runtime.Create(ctx, runtime.Bundle{ID: bad, Spec: spec}); err == nil {
			t.Errorf("created %q", bad)
		}
	}
}

func (s *suite) exists(t *testing.T) {
	b := s.waiting(t)
	_, err := s.tryCreate(t, s.shell("exit 0"), func(n *runtime.Bundle) {
		n.ID, n.Spec.Linux.CgroupsPath = b.id, "/stack/conformance/"+b.id
	})
	expectError(t, "second create", err, runtime.ErrExists)
	expect(t, "the first", b.state(), runtime.Running)
}

// Attach sees namespaces, a file may end with what it found, Adopt comes before
// the program, and a failure of either undoes the container.
func (s *suite) callbacks(t *testing.T) {
	var attached, adopted int
	b := s.create(t, s.shell("cat /note; exit 4"), func(b *runtime.Bundle) {
		b.Files = []runtime.File{{Target: "/note", Content: []byte("attached "), Mode: 0o444, Append: func() []byte {
			return fmt.Append(nil, attached != 0)
		}}}
		b.Attach = func(_ context.Context, pid int) error {
			attached = pid
			_, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
			return err
		}
		b.Adopt = func(_ context.Context, pid int) error { adopted = pid; return nil }
	})
	expect(t, "attached", attached, b.created.Pid)
	expect(t, "adopted", adopted, b.created.Pid)
	b.start()
	expect(t, "code", b.wait(), 4)
	expect(t, "output", b.output(), "attached true")

	no := errors.New("no")
	for name, change := range map[string]func(*runtime.Bundle){
		"attach": func(b *runtime.Bundle) { b.Attach = func(context.Context, int) error { return no } },
		"adopt":  func(b *runtime.Bundle) { b.Adopt = func(context.Context, int) error { return no } },
	} {
		failed, err := s.tryCreate(t, s.shell("exit 0"), change)
		expectError(t, name, err, no)
		s.checkNothing(t, failed)
	}
}

// checkNothing checks that a failed create left nothing.
func (s *suite) checkNothing(t *testing.T, b *box) {
	t.Helper()
	_, err := s.runtime.State(background(t), b.id)
	expectError(t, "state after a failed create", err, runtime.ErrNotFound)
	b.output() // ends only when every process that held it has
	checkGone(t, b.id)
}

func (s *suite) list(t *testing.T) {
	want := map[string]runtime.Status{
		s.create(t, s.shell("exit 0")).id: runtime.StatusCreated,
		s.waiting(t).id:                   runtime.Running,
	}
	list, err := s.runtime.List(background(t))
	must(t, err)
	found := 0
	for _, one := range list {
		if status, ok := want[one.ID]; ok {
			found++
			expect(t, "status", one.Status, status)
		}
	}
	expect(t, "listed", found, 2)
}

func (s *suite) startTwice(t *testing.T) {
	b := s.waiting(t)
	if err := b.rt.Start(background(t), b.id); err == nil {
		t.Error("started twice")
	}
	expect(t, "state", b.state(), runtime.Running)
}
