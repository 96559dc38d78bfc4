package runtimetest

import (
	"context"
	"errors"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

func (s *suite) failure(t *testing.T) {
	s.check(t, "programs", s.badPrograms)
	s.check(t, "search", s.search)
	s.check(t, "working directory", s.badDirectory)
	s.check(t, "mounts", s.badMounts)
	s.check(t, "cancelled", s.cancelled)
}

func (s *suite) badPrograms(t *testing.T) {
	for _, c := range []struct {
		program string
		code    int
	}{
		{"nothing", 127}, {"/bin/nothing", 127}, {"/bin/busybox/below", 127},
		{"denied", 126}, {"/bin/denied", 126}, {"/bin", 126}, {"garbage", 126},
	} {
		b := s.create(t, Spec(s.rootfs, c.program))
		err := b.rt.Start(background(t), b.id)
		var step *runtime.StepError
		if !errors.As(err, &step) || step.ExitCode() != c.code {
			t.Errorf("%s: got error %v, want one of code %d", c.program, err, c.code)
		}
		expect(t, c.program, b.wait(), c.code)
		expect(t, "state", b.state(), runtime.Stopped)
	}
}

// A program that may not be executed in one directory is found in the next.
func (s *suite) search(t *testing.T) {
	spec := Spec(s.rootfs, "echo", "found")
	spec.Process.Env = []string{"PATH=/nowhere:/etc/passwd:/usr/bin:/bin"}
	out, code := s.run(t, spec)
	expect(t, "output", out, "found")
	expect(t, "exit code", code, 0)

	spec = Spec(s.rootfs, "bin/echo", "relative")
	out, _ = s.run(t, spec)
	expect(t, "output", out, "relative")
}

func (s *suite) badDirectory(t *testing.T) {
	spec := s.shell("exit 0")
	spec.Process.Cwd = "/etc/passwd"
	if b, err := s.tryCreate(t, spec); err != nil { // some look before
		s.checkNothing(t, b)
	} else {
		if err := b.rt.Start(background(t), b.id); err == nil {
			t.Error("started in a file")
		}
		expect(t, "exit code", b.wait(), 1)
	}

	spec = s.shell("pwd")
	spec.Process.Cwd = "/tmp/made/on/demand"
	out, _ := s.run(t, spec)
	expect(t, "working directory", out, spec.Process.Cwd)
}

func (s *suite) badMounts(t *testing.T) {
	spec := s.shell("exit 0")
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: "/tmp/x", Type: "bind", Source: "/does/not/exist", Options: []string{"bind"}})
	b, err := s.tryCreate(t, spec)
	if err == nil {
		t.Fatal("created with a missing source")
	}
	s.checkNothing(t, b)
}

func (s *suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	id := newID()
	spec := s.shell("exit 0")
	spec.Linux.CgroupsPath = "/stack/conformance/" + id
	_, err := s.runtime.Create(ctx, runtime.Bundle{
		ID: id, Spec: spec,
		Attach: func(inner context.Context, _ int) error { cancel(); <-inner.Done(); return inner.Err() },
	})
	expectError(t, "create", err, context.Canceled)
	_, err = s.runtime.State(background(t), id)
	expectError(t, "state", err, runtime.ErrNotFound)
	checkGone(t, id)
}
