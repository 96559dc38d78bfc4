package scheduler

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

const rebuilt = `
services:
  web:
    image: rootfs:/img
    command: [web]
    network_mode: none
    scale: 2
    deploy: {update_config: {parallelism: 1}}
    develop: {watch: [{path: DIR/src, action: rebuild}, {path: DIR/src, target: /srv, action: sync, include: ["*.js"]}]}
`

// building makes the bench's web service one that is built, by f.
func (w *watching) building(f func() error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	s := w.c.want.Stack.Services["web"]
	s.Build = &types.BuildConfig{Context: w.dir}
	w.c.want.Stack.Services["web"] = s
	w.c.Build = func(_ context.Context, p *types.Project, service string) error {
		if p.Name != "p" || service != "web" {
			return errors.New("another project's build")
		}
		return f()
	}
}

func TestRebuild(t *testing.T) {
	w := watchBench(t, rebuilt)
	first := w.ids()
	results := []func() error{
		func() error { return errors.New("Dockerfile:3\nRUN make\n  error: no such rule\nexit code: 2") },
		func() error { return nil },
		func() error {
			w.machine.set(func() { w.machine.build = "new" })
			return nil
		},
	}
	w.building(func() error {
		f := results[0]
		results = results[1:]
		return f()
	})
	w.write("src/a.js", "1")
	w.until("web: 1 file changed, rebuilding")
	line := next(t, w.lines)
	if want := "the build failed, what runs stays: Dockerfile:3\n  RUN make\n    error: no such rule\n  exit code: 2"; !strings.HasSuffix(line.String(), want) {
		t.Errorf("a failed build is told as %q", line)
	}
	w.write("src/a.js", "2")
	w.until("web: 1 file, rebuilt to the same image in ")
	if now := w.ids(); now != first {
		t.Errorf("%s were replaced by %s", first, now)
	}
	w.write("src/a.js", "3")
	w.until("web: 1 file, rebuilt, replaced 2 replicas in ")
	for _, id := range strings.Fields(first) {
		if slices.Contains(strings.Fields(w.ids()), id) {
			t.Errorf("%s was not replaced", id)
		}
	}
}

// TestRebuiltToNoUse: an image that does not run is told, and another replica serves
// on meanwhile.
func TestRebuiltToNoUse(t *testing.T) {
	w := watchBench(t, rebuilt)
	first := w.instances()["p-web-1"].Digest
	w.building(func() error {
		w.machine.set(func() { w.machine.build = "broken" })
		return nil
	})
	w.machine.mu.Lock()
	w.machine.starting = func(id string) {
		running := 0
		for _, i := range w.instances() {
			if i.ID == id && i.Digest != first {
				w.machine.end(id, 1)
			}
			if i.ID != id && i.State == StateRunning {
				running++
			}
		}
		if running == 0 {
			t.Error("nobody served while another began")
		}
	}
	w.machine.mu.Unlock()
	w.write("src/x", "1")
	w.until("rebuilding")
	if line := next(t, w.lines); !strings.Contains(line.Error, "container p-web-1 exited (1)") {
		t.Errorf("told %q", line)
	}
	if i := w.instances()["p-web-2"]; i.Digest != first || i.State != StateRunning {
		t.Errorf("the other replica is %s, made of %s", i.State, i.Digest)
	}
}

// TestRebuildWithoutBuild is told, not tried.
func TestRebuildWithoutBuild(t *testing.T) {
	w := watchBench(t, rebuilt)
	w.write("src/x", filepath.Base(w.dir))
	w.until("cannot rebuild: the service has no build section")
}
