package oci

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Creators are killed at random moments of create; delete then removes whatever
// there is, and at the end nothing is left: no state, cgroup, mount or process.
func TestCreatorsKilled(t *testing.T) {
	m := newMachine(t)
	m.runtime = buildRuntime(t) // the test's own binary takes long to start under -race
	cycles := 1000
	if testing.Short() {
		cycles = 50
	}
	bundle := m.bundle("sleep 1000")
	var ids []string
	for range cycles {
		ids = append(ids, newID())
	}
	usual := m.usualTime(bundle)
	work := make(chan string)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for id := range work {
				m.crash(bundle, id, time.Duration(rand.Int64N(int64(usual*5/4))))
			}
		})
	}
	for _, id := range ids {
		work <- id
	}
	close(work)
	all.Wait()
	m.nothingLeft(ids)
}

func buildRuntime(t *testing.T) []string {
	t.Helper()
	if dir := os.Getenv("STACK_TEST_BIN"); dir != "" { // there is no compiler in the QEMU guest
		return []string{filepath.Join(dir, "stack-shim"), "oci"}
	}
	exe := filepath.Join(t.TempDir(), "stack-shim")
	cmd := exec.Command("go", "build", "-o", exe, "stack/cmd/stack-shim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return []string{exe, "oci"}
}

// usualTime is how long a create takes here.
func (m *machine) usualTime(bundle string) time.Duration {
	m.t.Helper()
	id := newID()
	cmd := m.command("create", "-b", bundle, id)
	begun := time.Now()
	check(m.t, cmd.Run()) // its streams are /dev/null: no pipe to wait for
	took := time.Since(begun)
	m.must("delete", "-f", id)
	return took
}

func (m *machine) crash(bundle, id string, after time.Duration) {
	cmd := m.command("create", "-b", bundle, id)
	if err := cmd.Start(); err != nil {
		m.t.Error(err)
		return
	}
	time.Sleep(after) // not awaited: the moment is what is random
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if out, err := m.command("delete", "-f", id).CombinedOutput(); err != nil {
		m.t.Errorf("delete %s: %v: %s", id, err, out)
	}
}

func (m *machine) nothingLeft(ids []string) {
	t := m.t
	t.Helper()
	if entries, err := os.ReadDir(m.root); err != nil || len(entries) > 0 {
		t.Errorf("state: %v, %v", entries, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	for _, id := range ids {
		if strings.Contains(string(mounts), id) {
			t.Errorf("a mount of %s is left", id)
		}
		groups, err := filepath.Glob("/sys/fs/cgroup/*" + defaultCgroup + id)
		check(t, err)
		if v2, _ := filepath.Glob("/sys/fs/cgroup" + defaultCgroup + id); len(groups)+len(v2) > 0 {
			t.Errorf("cgroups are left: %v", groups)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		reapAll()
		left := ours(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes are left: %v", left)
		}
	}
}

// ours are the processes that still run the stub, as our orphans do.
func ours(t *testing.T) (left []string) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	check(t, err)
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(b), "(stack-init)") {
			continue
		}
		if f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):])); len(f) > 2 && f[2] == strconv.Itoa(os.Getpid()) {
			left = append(left, string(b[:40]))
		}
	}
	return left
}
