package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stack/cmd/internal/cmdtest"
)

// TestReload measures few saves: what is saved is seen inside, and nothing is left.
func TestReload(t *testing.T) {
	cmdtest.NeedRoot(t)
	if testing.Short() {
		t.Skip("skipped: takes seconds")
	}
	dir := t.TempDir()
	if err := cmdtest.Build(dir, []string{"-trimpath"}, "stack/cmd/stack", "stack/cmd/stack-shim", "stack/cmd/stackbench"); err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := command(ctx, filepath.Join(dir, "stackbench"), "--reload", "--saves", "20", "--docker", "no", "--timeout", "170s").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("stackbench --reload: %v", err)
	}
	for _, want := range []string{"save → seen inside by all", "save → restarted, answers inside", "published port", "5000 files written → seen"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not tell %q", want)
		}
	}
	if left := added(before, traces(t)); len(left) > 0 {
		t.Errorf("stackbench leaves %v", left)
	}
}

func TestPercentile(t *testing.T) {
	var all []time.Duration
	for n := range 1000 {
		all = append(all, time.Duration(999-n))
	}
	if p := percentile(all, 99); p != 990 {
		t.Errorf("the 99th percentile is %d", p)
	}
	if p := percentile(all[:1], 99); p != 999 {
		t.Errorf("of one it is %d", p)
	}
}
