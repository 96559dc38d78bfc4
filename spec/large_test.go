package spec

import (
	"fmt"
	"strings"
	"testing"
	"time"
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

// TestLargeFile: 10,000 lines load and check in under a second.
func TestLargeFile(t *testing.T) {
	text := large(10_000)
	dir := tempFiles(t, map[string]string{"stack.yaml": text})
	mustLoad(t, Options{Dir: dir}) // compiles the schema
	start := time.Now()
	s := mustLoad(t, Options{Dir: dir})
	took := time.Since(start)
	t.Logf("%d lines, %d services in %v", strings.Count(text, "\n"), len(s.Services), took)
	if limit := time.Second * raceFactor; took > limit {
		t.Errorf("took %v, limit %v", took, limit)
	}
}

func BenchmarkLoad10000Lines(b *testing.B) {
	dir := tempFiles(b, map[string]string{"stack.yaml": large(10_000)})
	for b.Loop() {
		mustLoad(b, Options{Dir: dir})
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
