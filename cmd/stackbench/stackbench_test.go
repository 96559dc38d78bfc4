package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stack/cmd/internal/cmdtest"
)

// TestCheck holds `up -d` of 50 replicas to three times the floor, with binaries
// as they are shipped.
func TestCheck(t *testing.T) {
	cmdtest.NeedRoot(t)
	if testing.Short() {
		t.Skip("skipped: takes seconds")
	}
	dir := t.TempDir()
	err := errors.Join(
		cmdtest.Build(dir, []string{"-trimpath", "-ldflags", "-s -w -E main.entry"}, "stack/cmd/stack"),
		cmdtest.Build(dir, []string{"-trimpath", "-ldflags", "-s -w"}, "stack/cmd/stack-shim", "stack/cmd/stackbench"),
	)
	if err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	check := command(ctx, filepath.Join(dir, "stackbench"), "--check", "--replicas", "10,50", "--rounds", "12", "--timeout", "200s")
	out, err := check.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("stackbench --check: %v", err)
	}
	if left := added(before, traces(t)); len(left) > 0 {
		t.Errorf("stackbench leaves %v", left)
	}
}

// TestInterrupt stops the benchmark in the middle of a round: it ends soon, with
// an error, and nothing is left.
func TestInterrupt(t *testing.T) {
	cmdtest.NeedRoot(t)
	dir := t.TempDir()
	if err := cmdtest.Build(dir, nil, "stack/cmd/stackbench"); err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	cmd := command(t.Context(), filepath.Join(dir, "stackbench"), "--only", floorRow, "--replicas", "50", "--rounds", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // until replicas of the floor run
		if len(added(before, traces(t))) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted benchmark succeeds")
	}
	if left := added(before, traces(t)); len(left) > 0 {
		t.Errorf("stackbench leaves %v", left)
	}
}

// traces are what a benchmark could leave on the host.
func traces(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{
		"/sys/class/net/sb[0-9]*", "/sys/class/net/sbq*", "/sys/fs/cgroup/*/stackbench*", "/sys/fs/cgroup/stackbench*",
		"/sys/fs/cgroup/*/stack/stackbench*", "/sys/fs/cgroup/stack/stackbench*", filepath.Join(os.TempDir(), "stackbench-*"),
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

func added(before, after []string) []string {
	return slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) })
}

func TestTable(t *testing.T) {
	tab := &table{replicas: []int{1, 50}}
	for _, up := range []time.Duration{230, 200, 900} {
		tab.add(stackRow, 50, sample{up * time.Millisecond, time.Second})
	}
	for _, up := range []time.Duration{100, 120, 110} {
		tab.add(floorRow, 50, sample{up * time.Millisecond, time.Second})
		tab.add(plainRow, 50, sample{up * time.Millisecond / 2, time.Second})
	}
	if r := tab.overFloor(50); r != 2.3 {
		t.Errorf("the median of the rounds' ratios 2.3, 1.7 and 8.2 is %v", r)
	}
	if err := tab.verdict(true); err != nil {
		t.Errorf("twice the floor is allowed: %v", err)
	}
	if !tab.settled(50, 3) || tab.settled(50, 4) || tab.settled(1, 3) {
		t.Error("three rounds are not counted as three")
	}
	var out strings.Builder
	tab.print(&out)
	for _, want := range []string{"200.0/230.0", "stack / floor at 50: 2.30, the median of 3 rounds' ratios", "2.00 best over best"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, out.String())
		}
	}
}

// Noise that slows whole rounds, or single contenders in fewer than half of the
// rounds, fails nothing; a stack that is slow in most rounds is never passed.
func TestCheckNoise(t *testing.T) {
	rounds := func(stack, floor []time.Duration) *table {
		tab := &table{replicas: []int{50}}
		for i := range stack {
			tab.add(stackRow, 50, sample{up: stack[i] * time.Millisecond})
			tab.add(floorRow, 50, sample{up: floor[i] * time.Millisecond})
			tab.add(plainRow, 50, sample{up: floor[i] * time.Millisecond / 2})
		}
		return tab
	}
	slowRounds := rounds([]time.Duration{240, 960, 1200}, []time.Duration{100, 400, 500})
	if !slowRounds.passes(50, 3) || slowRounds.verdict(true) != nil {
		t.Error("rounds that were slow for all fail the check")
	}
	unlucky := rounds([]time.Duration{400, 400, 240}, []time.Duration{100, 100, 100})
	if unlucky.passes(50, 3) {
		t.Error("two slow rounds of three need no further ones")
	}
	for range 2 {
		unlucky.add(stackRow, 50, sample{up: 240 * time.Millisecond})
		unlucky.add(floorRow, 50, sample{up: 100 * time.Millisecond})
		unlucky.add(plainRow, 50, sample{up: 50 * time.Millisecond})
	}
	if !unlucky.passes(50, 3) || unlucky.verdict(true) != nil {
		t.Error("two disturbed rounds of five fail the check")
	}
	worse := rounds([]time.Duration{310, 620, 310, 290, 310}, []time.Duration{100, 200, 100, 100, 100})
	if worse.passes(50, 3) || worse.verdict(true) == nil {
		t.Error("3.1 times the floor in four rounds of five passes")
	}
}

// A slow stack fails only the check; a floor that is too fast fails always.
func TestVerdict(t *testing.T) {
	tab := &table{replicas: []int{50}}
	tab.add(stackRow, 50, sample{up: 301 * time.Millisecond})
	tab.add(floorRow, 50, sample{up: 100 * time.Millisecond})
	tab.add(plainRow, 50, sample{up: 50 * time.Millisecond})
	if tab.verdict(false) != nil || tab.verdict(true) == nil {
		t.Error("three times the floor is the limit of the check alone")
	}
	for range 2 {
		tab.add(plainRow, 50, sample{up: 10 * time.Millisecond})
		tab.add(floorRow, 50, sample{up: 9 * time.Millisecond})
	}
	if tab.verdict(false) == nil {
		t.Error("a floor below plain unsharing passes")
	}
}

func TestTicks(t *testing.T) {
	if n := ticks("12 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0"); n != 42 {
		t.Errorf("utime + stime is %d, want 42", n)
	}
}

// A runtime that is far too slow fails the check, a ratio below what is wanted not.
func TestRuntimes(t *testing.T) {
	r := &runtimes{rows: []*runtimeRow{
		{name: ociRow, times: []time.Duration{10, 11, 9}}, {name: runcRow, times: []time.Duration{25, 27, 90}}, {name: insideRow, times: []time.Duration{8, 9, 9}},
	}}
	if err := r.verdict(); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	r.print(&out, "at once")
	for _, want := range []string{"runc run / stack oci run: 2.50, the median of 3", "runc run / create and start in process: 3.12"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q lacks %q", out.String(), want)
		}
	}
	if strings.Contains(out.String(), crunRow) {
		t.Error("what was not measured is compared")
	}
	r.rows[0].times = []time.Duration{24, 24, 24}
	if err := r.verdict(); err == nil {
		t.Error("1.1 times as fast as runc passes")
	}
}
