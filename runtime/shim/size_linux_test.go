package shim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// build builds the real stack-shim.
func build(t testing.TB) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "stack-shim")
	cmd := exec.Command("go", "build", "-o", exe, "stack/cmd/stack-shim")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return exe
}

func TestLinksNothingHeavy(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "stack/cmd/stack-shim").Output()
	if err != nil {
		t.Fatal(err)
	}
	light := []string{ // beside our own
		"github.com/opencontainers/runtime-spec/specs-go", "github.com/opencontainers/runtime-spec/specs-go/features",
		"golang.org/x/sys/unix", "golang.org/x/sync/errgroup", "golang.org/x/term",
		// what the OCI runtime needs
		"github.com/moby/sys/capability", "github.com/moby/sys/mountinfo",
		"github.com/moby/sys/userns",
	}
	for _, pkg := range strings.Fields(string(out)) {
		if !strings.HasPrefix(pkg, "stack/") && !slices.Contains(light, pkg) {
			t.Errorf("stack-shim links %s", pkg)
		}
	}
	out, err = exec.Command("go", "list", "-deps", "stack/cmd/stack-shim").Output()
	if err != nil {
		t.Fatal(err)
	}
	// net and os/exec are a virtual machine's monitor's and cost the others nothing that
	// can be measured.
	for _, heavy := range []string{"net/http", "regexp", "text/template", "crypto/tls", "encoding/gob"} {
		if slices.Contains(strings.Fields(string(out)), heavy) {
			t.Errorf("stack-shim links %s", heavy)
		}
	}
}

// memory reads a field of /proc/PID/smaps_rollup in kB.
func memory(t testing.TB, pid int, field string) (kb int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("\n"+field+":"))
	if _, err := fmt.Sscan(string(rest), &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}

// TestMemory holds the real binary to its budget: under 5 MB with 50 containers at
// rest, 9 while they write, and little for each more.
func TestMemory(t *testing.T) {
	dir := tempDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	begun := time.Now()
	o := StartOptions{Dir: dir, Shim: []string{build(t)}, Controller: []string{"/bin/sleep", "1000"}}
	t.Logf("built in %v", time.Since(begun))
	begun = time.Now()
	c, err := Ensure(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("shim ready in %v", time.Since(begun))
	h, err := c.Hello(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// One process stands in for all: the shim keeps a pidfd for each anyway.
	life, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = life.Kill()
		_, _ = life.Wait()
		endSleeper(t, c, h.Pid)
	}()
	fresh := memory(t, h.Pid, "Rss")
	givesBack := func(before, bound int) (kb int) { // what starts needed
		for kb = before; kb >= bound; kb = memory(t, h.Pid, "Rss") {
			if ctx.Err() != nil {
				t.Fatalf("the shim keeps %d kB", kb)
			}
			time.Sleep(50 * time.Millisecond)
		}
		return kb
	}
	idle := givesBack(fresh, fresh-1<<10)
	var pipes []io.Writer
	add := func(n int) {
		for range n {
			id := fmt.Sprintf("%064d", len(pipes))
			if err := os.MkdirAll(containerDir(dir, id), 0o700); err != nil {
				t.Fatal(err)
			}
			s, err := OpenStdio(containerDir(dir, id), os.Geteuid(), os.Getegid(), true)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			if err := c.Stdio(ctx, id, LogConfig{Path: logPath(dir, id), MaxSize: 64 << 10, MaxFiles: 2}, s); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Adopt(ctx, Process{ID: id, Pid: life.Pid, Exit: recordPath(dir, id)}); err != nil {
				t.Fatal(err)
			}
			pipes = append(pipes, s.Stdout, s.Stderr)
		}
	}
	write := func(lines int) {
		for i := range lines {
			for _, w := range pipes {
				fmt.Fprintf(w, "%d: a line as a server would log for each of its requests, 200 OK\n", i)
			}
		}
	}
	add(50)
	started := memory(t, h.Pid, "Rss")
	rest50 := givesBack(started, started-1<<10)
	write(300)
	rss50, pss50 := memory(t, h.Pid, "Rss"), memory(t, h.Pid, "Pss")
	add(200)
	write(100)
	rss250 := memory(t, h.Pid, "Rss")
	each := float64(rss250-rss50) / 200
	t.Logf("idle %d kB; 50 containers started: %d kB, at rest %d kB, writing: RSS %d kB, PSS %d kB; %.1f kB each further", idle, started, rest50, rss50, pss50, each)
	// The pages of the binary, which other shims share, are about half of it.
	if rest50 > 5<<10 || rss50 > 9<<10 || each > 50 {
		t.Error("over budget")
	}
}

// endSleeper stops a shim whose controller only sleeps.
func endSleeper(t *testing.T, c *Client, pid int) {
	t.Helper()
	wake, err := c.Wake(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Stop(t.Context())
	procs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range procs {
		var child, parent int
		var name, state string
		b, _ := os.ReadFile(p)
		_, _ = fmt.Sscan(string(b), &child, &name, &state, &parent)
		if parent == pid {
			_ = unix.Kill(child, unix.SIGKILL)
		}
	}
	c.Close()
	for range wake { // until the shim is gone
	}
}

// BenchmarkStart is the time from nothing to a shim that listens.
func BenchmarkStart(b *testing.B) {
	exe := build(b)
	for b.Loop() {
		b.StopTimer()
		dir, err := os.MkdirTemp("/dev/shm", "shim")
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		c, err := Ensure(b.Context(), StartOptions{Dir: dir, Shim: []string{exe}, Controller: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		wake, err := c.Wake(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Stop(b.Context())
		c.Close()
		for range wake { // until it is gone
		}
		os.RemoveAll(dir)
		b.StartTimer()
	}
}
