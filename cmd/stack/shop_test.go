package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// shopRoots makes the root file systems of examples/shop, once for all runs, and
// reports whether they are there. They need apt and its mirror: without, the
// script that asks is skipped, in CI it fails.
func shopRoots(t *testing.T) (bool, error) {
	dir := filepath.Join(repoDir(t), "examples", "shop")
	lock, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return false, fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a mirror that does not answer
	defer cancel()
	mk := exec.CommandContext(ctx, filepath.Join(dir, "mkrootfs.sh"))
	mk.WaitDelay = time.Second
	out, err := mk.CombinedOutput()
	if err == nil {
		return true, nil
	}
	if os.Getenv("STACK_TEST_STRICT") != "" {
		return false, fmt.Errorf("cannot make the roots of examples/shop: %w\n%s", err, out)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false, err
	}
	t.Logf("skipped: the roots of examples/shop need apt and its mirror: %s", out)
	return false, nil
}
