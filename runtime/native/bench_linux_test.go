package native

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/seccomp/profiles"
	"stack/runtime/runtimetest"
)

// BenchmarkTrue creates, starts and waits for a container of /bin/true with
// everything a stack's replica has but a network: seven namespaces, limits,
// Docker's capabilities and seccomp profile, an overlay.
func BenchmarkTrue(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("containers need root")
	}
	c := newBenchmark(b)
	for b.Loop() {
		c.once(b)
	}
}

// BenchmarkStart is create and start alone, until the program is executed. Its median
// is for cmd/stackbench.
func BenchmarkStart(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("containers need root")
	}
	c := newBenchmark(b)
	var all []time.Duration
	for b.Loop() {
		begun := time.Now()
		id, created := c.start(b, "true")
		all = append(all, time.Since(begun))
		b.StopTimer()
		unix.Wait4(created.Pid, nil, 0, nil)
		check(b, c.Delete(context.Background(), id, true))
		created.PidFD.Close()
		b.StartTimer()
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "median-ns")
}

// BenchmarkExec runs /bin/true in a running container.
func BenchmarkExec(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("containers need root")
	}
	c := newBenchmark(b)
	ctx := context.Background()
	id, created := c.start(b, "sleep", "1000")
	process := runtimetest.Spec("", "true").Process
	for b.Loop() {
		p, err := c.Exec(ctx, id, runtime.Exec{Process: process})
		check(b, err)
		unix.Wait4(p.Pid, nil, 0, nil)
		p.PidFD.Close()
	}
	c.finish(b, id, created)
}

type benchmark struct {
	*Runtime
	dir, rootfs string
	filter      *specs.LinuxSeccomp
	number      chan int
}

func newBenchmark(b *testing.B) *benchmark {
	rootfs := runtimetest.Busybox(b)
	filter, err := profiles.Default([]string{"CAP_CHOWN"})
	check(b, err)
	dir, err := os.MkdirTemp("/dev/shm", "bench")
	check(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	c := &benchmark{Runtime: New(Options{Root: filepath.Join(dir, "run")}), dir: dir, rootfs: rootfs, filter: filter, number: make(chan int, 1)}
	c.number <- 0
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *benchmark) start(b *testing.B, args ...string) (string, runtime.Created) {
	n := <-c.number
	c.number <- n + 1
	id := "bench-" + filepath.Base(c.dir) + "-" + strconv.Itoa(n)
	spec := runtimetest.Spec("", args...)
	spec.Root = &specs.Root{}
	spec.Linux.CgroupsPath = "/stack/bench/" + id
	spec.Linux.Seccomp = c.filter
	memory, pids := int64(64<<20), int64(100)
	spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	upper := filepath.Join(c.dir, id)
	created, err := c.Create(context.Background(), runtime.Bundle{ID: id, Spec: spec, Root: runtime.RootFS{
		Lowers: []string{c.rootfs}, Upper: upper + "/upper", Work: upper + "/work",
	}})
	check(b, err)
	check(b, c.Start(context.Background(), id))
	return id, created
}

func (c *benchmark) finish(b *testing.B, id string, created runtime.Created) {
	check(b, c.Delete(context.Background(), id, true))
	unix.Wait4(created.Pid, nil, 0, nil)
	created.PidFD.Close()
}

func (c *benchmark) once(b *testing.B) {
	id, created := c.start(b, "true")
	unix.Wait4(created.Pid, nil, 0, nil)
	b.StopTimer()
	check(b, c.Delete(context.Background(), id, true))
	created.PidFD.Close()
	b.StartTimer()
}
