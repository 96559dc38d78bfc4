package spec

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// large is a stack file of about n lines.
func large(lines int) string {
	var b strings.Builder
	b.WriteString("name: large\nservices:\n")
	for i := range lines / 23 {
		fmt.Fprintf(&b, `  svc%d:
    image: nginx:1.27
    command: ["nginx", "-g", "daemon off;"]
    environment:
      A: "1"
      B: ${HOME:-x}
      C: "3"
    ports:
      - "%d:80"
    volumes:
      - data:/data
      - /etc/hosts:/etc/hosts:ro
    networks:
      - front
      - back
    depends_on: [svc%d]
    healthcheck:
      test: ["CMD", "true"]
      interval: 10s
    deploy:
      resources:
        limits:
          memory: 64M
`, i, 10000+i, i+1)
	}
	fmt.Fprintf(&b, "  svc%d: {image: nginx}\nnetworks:\n  front: {}\n  back: {}\nvolumes:\n  data: {}\n", lines/23)
	return b.String()
}

// TestLargeFile: the work of checking and loading 10,000 lines, in terms of what
// yaml.v3 needs for parsing them: milliseconds depend on what else the machine does.
func TestLargeFile(t *testing.T) {
	text := large(10_000)
	o := Options{Dir: tempFiles(t, map[string]string{"stack.yaml": text})}
	mustLoad(t, o) // compiles the schema
	parse := leastWork(t, func() error { return yaml.Unmarshal([]byte(text), new(yaml.Node)) })
	check := leastWork(t, func() error { _, err := Check(t.Context(), o); return err })
	load := leastWork(t, func() error { _, err := Load(t.Context(), o); return err })
	t.Logf("%d lines: parse %v, check %v, load %v", strings.Count(text, "\n"), parse, check, load)
	if check.cpu > maxCheck*parse.cpu || load.cpu > maxLoad*parse.cpu {
		t.Errorf("a check may take %d times the work of parsing, a load %d times", maxCheck, maxLoad)
	}
}

// They took 10 and 38 when this was written.
const (
	maxCheck = 20
	maxLoad  = 75
)

// work is what something took: processor time of all threads, and on the clock.
type work struct{ cpu, wall time.Duration }

func (w work) String() string {
	return fmt.Sprintf("%v (%v of processor time)", w.wall.Round(time.Millisecond), w.cpu.Round(time.Millisecond))
}

// leastWork is the least of several runs.
func leastWork(t *testing.T, f func() error) work {
	t.Helper()
	var least work
	for range 4 {
		runtime.GC()
		start, before := time.Now(), processorTime(t)
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if w := (work{processorTime(t) - before, time.Since(start)}); least.cpu == 0 || w.cpu < least.cpu {
			least = w
		}
	}
	return least
}

func processorTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkLoad10000Lines(b *testing.B) {
	dir := tempFiles(b, map[string]string{"stack.yaml": large(10_000)})
	for b.Loop() {
		mustLoad(b, Options{Dir: dir})
	}
}

func BenchmarkCheck10000Lines(b *testing.B) {
	dir := tempFiles(b, map[string]string{"stack.yaml": large(10_000)})
	for b.Loop() {
		if _, err := Check(b.Context(), Options{Dir: dir}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDenseGraph: compose-go's own cycle check takes exponential time here.
func TestDenseGraph(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 60 {
		fmt.Fprintf(&b, "  s%d:\n    image: x\n    depends_on: [", i)
		for j := range i {
			fmt.Fprintf(&b, "s%d,", j)
		}
		b.WriteString("]\n")
	}
	text := strings.ReplaceAll(b.String(), ",]", "]")
	done := make(chan *Stack)
	dir := tempFiles(t, map[string]string{"stack.yaml": text})
	go func() {
		s, _ := Load(t.Context(), Options{Dir: dir})
		done <- s
	}()
	select {
	case s := <-done:
		if s == nil || len(s.Services) != 60 {
			t.Error("did not load")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("hangs")
	}
}

// TestIncludeLadder: each file includes the next one twice.
func TestIncludeLadder(t *testing.T) {
	files := map[string]string{"stack.yaml": "include: [f0.yaml]\nservices: {a: {image: x}}\n"}
	for i := range 30 {
		files[fmt.Sprintf("f%d.yaml", i)] = fmt.Sprintf("include: [f%d.yaml, {path: f%d.yaml}]\n", i+1, i+1)
	}
	files["f30.yaml"] = "services: {z: {image: x}}\n"
	start := time.Now()
	s := mustLoad(t, Options{Dir: tempFiles(t, files)})
	if len(s.Services) != 2 || time.Since(start) > 10*time.Second {
		t.Errorf("%d services in %v", len(s.Services), time.Since(start))
	}
}

// TestAliasBomb: aliases that blow up are refused.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	b.WriteString("services: {a: {image: x}}\n")
	got := renderLoad(t, Options{Dir: tempFiles(t, map[string]string{"stack.yaml": b.String()})})
	if !strings.Contains(got, "aliases expand to more than") {
		t.Errorf("got %s", got)
	}
}
