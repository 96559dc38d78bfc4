package runtimetest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

func (s *suite) limits(t *testing.T) {
	s.check(t, "processes", s.processLimit)
	s.check(t, "memory", s.memoryLimit)
	s.check(t, "pids and statistics", s.statistics)
	s.check(t, "update", s.update)
}

func (s *suite) processLimit(t *testing.T) {
	spec, limit := s.shell("echo one; (echo two) || echo refused"), int64(1)
	spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &limit}
	out, _ := s.run(t, spec)
	if !strings.HasPrefix(out, "one\n") || strings.Contains(out, "two\n") {
		t.Errorf("got %q", out)
	}
}

func (s *suite) memoryLimit(t *testing.T) {
	spec, limit := Spec(s.rootfs, "sh", "-c", "dd if=/dev/zero of=/dev/null bs=128M count=1"), int64(32<<20)
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
	spec.Process.Args = []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1"}
	b := s.create(t, spec).start()
	expect(t, "exit code", b.wait(), 137)
	st, err := b.rt.State(background(t), b.id)
	must(t, err)
	if st.OOMKilled == 0 {
		t.Error("the OOM kill is not told")
	}
}

func (s *suite) statistics(t *testing.T) {
	b := s.waiting(t)
	pids, err := b.rt.Pids(background(t), b.id)
	must(t, err)
	if !slices.Contains(pids, b.created.Pid) {
		t.Errorf("pids are %v, the first process is %d", pids, b.created.Pid)
	}
	stats, err := b.rt.Stats(background(t), b.id)
	must(t, err)
	if stats.Pids == 0 || stats.Memory == 0 || stats.CPUUsage == 0 || stats.At.IsZero() {
		t.Errorf("got %+v", stats)
	}
	counted := pressureCounted(t, b.created.Pid)
	for name, p := range map[string]*runtime.Pressure{"CPU": stats.CPUPressure, "memory": stats.MemoryPressure, "I/O": stats.IOPressure} {
		if (p != nil) != counted {
			t.Errorf("%s pressure is %v, the kernel counts it: %v", name, p, counted)
		}
	}
	b.in.Close()
	b.wait()
	_, err = b.rt.Stats(background(t), b.id)
	expectError(t, "after exit", err, runtime.ErrNotRunning)
}

// pressureCounted says whether a process's group, of cgroup v2 alone, has pressure
// information that can be read.
func pressureCounted(t testing.TB, pid int) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	must(t, err)
	path, alone := strings.CutPrefix(strings.TrimSpace(string(text)), "0::")
	if !alone || strings.Contains(path, "\n") {
		return false
	}
	text, err = os.ReadFile("/sys/fs/cgroup" + path + "/cpu.pressure")
	return err == nil && len(text) > 0
}

func (s *suite) update(t *testing.T) {
	b := s.waiting(t)
	limit := int64(64 << 20)
	must(t, b.rt.Update(background(t), b.id, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}))
	stats, err := b.rt.Stats(background(t), b.id)
	must(t, err)
	expect(t, "memory limit", stats.MemoryLimit, uint64(limit))
}
