package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// watchRaces gives the environment in which the race detector writes files that are
// read when the test ends. BuildKit's Dockerfile frontend has data races of its own
// (v0.34.2: each stage that resolves its base writes withResolveCache.g.CacheError);
// those that our code takes part in are a fault.
func watchRaces(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		names, err := filepath.Glob(filepath.Join(dir, "race.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, report := range strings.Split(string(data), "WARNING: DATA RACE")[1:] {
				if ownRace(report) {
					t.Errorf("data race:%s", report)
				} else {
					t.Logf("a race of BuildKit's: %q", accesses(report))
				}
			}
		}
	})
	return []string{"GORACE=atexit_sleep_ms=0 exitcode=0 log_path=" + filepath.Join(dir, "race")}
}

// ownRace says whether one of the two accesses is in a function of ours.
func ownRace(report string) bool {
	all := accesses(report)
	return len(all) != 2 || ours(all[0]) || ours(all[1])
}

func ours(function string) bool {
	return strings.HasPrefix(function, "stack/") || strings.HasPrefix(function, "main.")
}

// accesses are the functions that read or wrote, in whoever's name the standard
// library did.
func accesses(report string) []string {
	var found []string
	for block := range strings.SplitSeq(report, "\n\n") {
		head, frames, _ := strings.Cut(strings.TrimSpace(block), "\n")
		if !strings.Contains(head, " at 0x") {
			continue
		}
		for line := range strings.Lines(frames) {
			f, isFunction := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
			if !isFunction || strings.HasPrefix(f, " ") { // a file
				continue
			}
			host, _, slash := strings.Cut(f, "/")
			if ours(f) || slash && strings.Contains(host, ".") {
				found = append(found, f)
				break
			}
		}
	}
	return found
}

func TestOwnRace(t *testing.T) {
	const buildkit = `
Write at 0x00c000a by goroutine 12:
  github.com/moby/buildkit/util/flightcontrol.(*Group[go.shape.int]).Do()
      github.com/moby/buildkit@v0.34.2/util/flightcontrol/flightcontrol.go:30 +0x1

Previous read at 0x00c000a by goroutine 11:
  %s
      somewhere.go:1 +0x2
  github.com/moby/buildkit/solver.run()
      stack/runtime/build/builder/export.go:3 +0x3
  stack/runtime/build/builder.(*imageSource).base()
      stack/runtime/build/builder/source.go:3 +0x3

Goroutine 12 (running) created at:
  stack/runtime/build/builder.Serve()
`
	for frame, want := range map[string]bool{
		"runtime.mapaccess1()": false, "encoding/json.Marshal()": false, "github.com/moby/x.Y()": false,
		"stack/runtime/build/builder.(*locks).take()": true, "main.run()": true,
	} {
		if got := ownRace(strings.Replace(buildkit, "%s", frame, 1)); got != want {
			t.Errorf("%s: %v", frame, got)
		}
	}
	if !ownRace("unreadable") {
		t.Error("a report that cannot be read is nobody's fault")
	}
}
