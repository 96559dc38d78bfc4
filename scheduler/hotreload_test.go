package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"stack/runtime"
	"stack/runtime/native/transfer"
	"stack/runtime/runtimetest"
	"stack/scheduler/watch"
)

func TestReloadLine(t *testing.T) {
	for want, r := range map[string]Reload{
		"Watch enabled": {Enabled: true},
		"web: 1 file, synced to 1 replica in 3 ms":                                       {Service: "web", Files: 1, Replicas: 1, Took: 3 * time.Millisecond},
		"web: 2 files, synced to 3 replicas, executed in 3 replicas in 0 ms":             {Service: "web", Files: 2, Replicas: 3, Executed: 3},
		"web: 1 file, synced to 1 replica, restarted 2 replicas in 1000 ms":              {Service: "web", Files: 1, Replicas: 1, Restarted: 2, Took: time.Second},
		"web: 1 file changed in 0 ms":                                                    {Service: "web", Files: 1},
		"web: 1 file, synced to 1 replica in 0 ms; cannot sync a: no; cannot sync b: no": {Service: "web", Files: 1, Replicas: 1, Error: "cannot sync a: no\ncannot sync b: no"},
		"web: looking for changes every 500ms only: there are no inotify watches left":   {Service: "web", Warning: "looking for changes every 500ms only: there are no inotify watches left"},
		"web: container p-web-1: cannot sync a: read-only file system":                   {Service: "web", Error: "container p-web-1: cannot sync a: read-only file system"},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// needRoot: files are written as the container's root.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	runtimetest.Skip(t, "skipped: needs root")
}

// hostRoots are directories that stand for containers' roots.
type hostRoots struct{ dir string }

func (h hostRoots) of(id string) string { return filepath.Join(h.dir, id) }

func (hostRoots) Rewrite(context.Context, string, []runtime.File) ([]string, error) { return nil, nil }

func (h hostRoots) Root(_ context.Context, id string) (*transfer.Root, error) {
	if err := os.MkdirAll(h.of(id), 0o755); err != nil {
		return nil, err
	}
	dir, err := os.OpenFile(h.of(id), 0x200000, 0) // O_PATH
	if err != nil {
		return nil, err
	}
	return transfer.NewRoot(dir, nil, nil), nil
}

const watched = `
services:
  web:
    image: rootfs:/img
    command: [web]
    network_mode: none
    scale: 2
    develop: {watch: [{path: DIR, target: /srv, action: sync}]}
`

// TestReplacedReplicaCatchesUp: a replica that takes the place of another begins with
// what was synced, before its program starts; and a second watch is refused.
func TestReplacedReplicaCatchesUp(t *testing.T) {
	needRoot(t)
	src := t.TempDir()
	b := newBench(t)
	roots := hostRoots{t.TempDir()}
	b.c.Files = roots
	st := loadStack(t, strings.Replace(watched, "DIR", src, 1))
	if err := b.do(Command{Verb: VerbUp}, st); err != nil {
		t.Fatal(err)
	}
	lines := make(chan Reload, 64)
	ended := make(chan error, 1)
	go func() {
		ended <- b.c.Do(context.Background(), Command{Verb: VerbWatch}, func(r Reply) {
			if r.Reload != nil {
				lines <- *r.Reload
			}
		})
	}()
	if r := next(t, lines); !r.Enabled {
		t.Fatalf("first came %v", r)
	}
	if err := os.WriteFile(filepath.Join(src, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := next(t, lines); r.Files != 1 || r.Replicas != 2 || r.Error != "" {
		t.Fatalf("got %v", r)
	}
	if err := b.do(Command{Verb: VerbWatch}, nil); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second watch: %v", err)
	}
	had := make(chan bool, 8)
	b.mu.Lock()
	b.starting = func(id string) {
		_, err := os.Stat(filepath.Join(roots.of(id), "srv/f"))
		had <- err == nil
	}
	b.mu.Unlock()
	if err := b.do(Command{Verb: VerbUp, ForceRecreate: true, Scale: map[string]int{"web": 3}}, st); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !<-had {
			t.Error("a program started without what was synced")
		}
	}
	if err := b.do(Command{Verb: VerbDown}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("with the project, the watch ended with %v", err)
	}
}

func next(t *testing.T, lines chan Reload) Reload {
	t.Helper()
	select {
	case r := <-lines:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was told")
	}
	return Reload{}
}

// TestSoak: after thousands of random operations, and batches cut anywhere among
// them, the container has what the host has.
func TestSoak(t *testing.T) {
	needRoot(t)
	src := t.TempDir()
	roots := hostRoots{t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	var group errgroup.Group
	options := watch.Options{Roots: []watch.Root{{Path: src}}, Instance: new(watch.Instance)}
	w, err := watch.New(options)
	if err != nil {
		t.Fatal(err)
	}
	other, err := watch.New(options) // another service's
	if err != nil {
		t.Fatal(err)
	}
	group.Go(func() error { return other.Run(ctx) })
	group.Go(func() error { return w.Run(ctx) })
	group.Go(func() error {
		root, err := roots.Root(ctx, "box")
		if err != nil {
			return err
		}
		defer root.Close()
		rule := reloadRule{base: src, target: "/srv"}
		var names []string
		for {
			select {
			case <-ctx.Done():
				return nil
			case b := <-w.C:
				for _, c := range b.Changes {
					names = append(names, c.Path)
				}
				slices.Sort(names)
				names = slices.Compact(names)
			case <-time.After(50 * time.Millisecond): // for what could not be synced yet
			}
			if len(names) == 0 {
				continue
			}
			err := rule.sync(ctx, root, names, false)
			if err == nil {
				names = nil
			} else if ctx.Err() == nil {
				t.Log(err)
			}
		}
	})
	defer func() {
		cancel()
		if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	seed := uint64(time.Now().UnixNano())
	churn(src, rand.New(rand.NewPCG(seed, 1)), 10_000)
	deadline := time.Now().Add(time.Minute)
	for {
		want, got := listing(src), listing(filepath.Join(roots.of("box"), "srv"))
		if want == got {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("seed %d: the host has\n%s\nthe container\n%s", seed, want, got)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// churn does n random things to a few names; many fail, as is their right.
func churn(dir string, r *rand.Rand, n int) {
	name := func() string {
		parts := []string{dir}
		for range 1 + r.IntN(3) {
			parts = append(parts, fmt.Sprint("n", r.IntN(6)))
		}
		return filepath.Join(parts...)
	}
	for i := range n {
		switch r.IntN(10) {
		case 0, 1, 2:
			os.WriteFile(name(), []byte(strings.Repeat(fmt.Sprint(i), r.IntN(20))), 0o644)
		case 3, 4:
			os.MkdirAll(name(), 0o755)
		case 5, 6:
			os.Rename(name(), name())
		case 7:
			os.Remove(name())
		case 8:
			os.Symlink("n1", name())
		case 9:
			if r.IntN(4) == 0 {
				os.RemoveAll(name())
			} else {
				os.Chmod(name(), 0o700|os.FileMode(r.IntN(64)))
			}
		}
	}
}

// listing is a tree with modes and contents.
func listing(dir string) string {
	var out []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return nil
		}
		rel, _ := filepath.Rel(dir, path)
		info, err := d.Info()
		if err != nil {
			return nil
		}
		line := rel + " " + info.Mode().String()
		if info.Mode().IsRegular() {
			b, _ := os.ReadFile(path)
			line += " " + string(b)
		}
		if to, err := os.Readlink(path); err == nil {
			line += " -> " + to
		}
		out = append(out, line)
		return nil
	})
	sort.Strings(out)
	return strings.Join(out, "\n")
}
