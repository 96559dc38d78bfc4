package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// sleepers are the pids of the processes that run `sleep MARK`.
func sleepers(mark string) []int {
	return processes(func(dir string) bool {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		return err == nil && bytes.HasSuffix(line, []byte("sleep\x00"+mark+"\x00")) && bytes.Count(line, []byte{0}) == 2
	})
}

// processes are the pids whose directory in /proc satisfies want.
func processes(want func(dir string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && want(filepath.Join("/proc", e.Name())) {
			out = append(out, pid)
		}
	}
	return out
}

// wantSleepers waits a moment for n processes of a mark: an init may have been
// started and not yet have executed its program.
func wantSleepers(mark string, n int) error {
	var got int
	for range 500 {
		if got = len(sleepers(mark)); got == n {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%d replicas run where %d should", got, n)
}
