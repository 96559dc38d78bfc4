package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stack/cmd/internal/cmdtest"
)

// project is a stack of a Go test: what a script has in its environment.
type project struct {
	t          *testing.T
	name, root string
	dir        string // holds stack.yaml
	wrap       []string
}

// newProject writes a stack file. At the test's end the stack is taken down, and
// nothing may be left on the host.
func newProject(t *testing.T, file string) *project {
	t.Helper()
	return newProjectOn(t, newStateRoot(t), file)
}

// newStateRoot is a machine's state; as short as real ones are.
func newStateRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("", "st-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	return root
}

// newProjectOn makes one more stack of a machine's.
func newProjectOn(t *testing.T, root, file string) *project {
	t.Helper()
	cmdtest.NeedRoot(t)
	dir := t.TempDir()
	name := "t" + strings.TrimPrefix(filepath.Base(root), "st-")
	for n := 2; exists(filepath.Join(root, name)); n++ { // a file of ours marks names in use
		name = fmt.Sprint(strings.SplitN(name, "-", 2)[0], "-", n)
	}
	if err := os.WriteFile(filepath.Join(root, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &project{t: t, name: name, root: root, dir: dir}
	p.write(file)
	t.Cleanup(func() {
		log, _ := os.ReadFile(filepath.Join(root, "run", p.name, "shim.log"))
		if bad := strings.Contains(string(log), "DATA RACE") || strings.Contains(string(log), "panic:"); bad || t.Failed() {
			t.Logf("shim.log: %s", log)
			if bad {
				t.Error("shim or controller went wrong")
			}
		}
		if out, err := p.command("down", "-v", "-t", "0", "--remove-orphans").CombinedOutput(); err != nil {
			t.Errorf("cannot clean up: %v\n%s", err, out)
		}
		if left := settle(root, p.name); len(left) > 0 {
			t.Errorf("left on the host after down:\n  %s", strings.Join(left, "\n  "))
		}
	})
	return p
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (p *project) write(file string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "stack.yaml"), []byte(file), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// command prepares one command line of stack, behind that of wrap.
func (p *project) command(args ...string) *exec.Cmd {
	line := append(slices.Clone(p.wrap), filepath.Join(binDir, "stack"))
	c := exec.Command(line[0], append(line[1:], args...)...)
	c.Dir = p.dir
	c.Env = append(os.Environ(), "STACK_ROOT="+p.root, "COMPOSE_PROJECT_NAME="+p.name, "NO_COLOR=1")
	return c
}

// try runs stack and returns all it printed.
func (p *project) try(args ...string) (string, error) {
	out, err := p.command(args...).CombinedOutput()
	return string(out), err
}

// run runs stack, which must succeed, and returns what it printed on stdout.
func (p *project) run(args ...string) string {
	p.t.Helper()
	c := p.command(args...)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		p.t.Fatalf("stack %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// kill sends SIGKILL to the project's processes of these kinds.
func (p *project) kill(kinds ...string) {
	p.t.Helper()
	killed := 0
	for _, proc := range processes(p.root) {
		for _, kind := range kinds {
			if proc.kind() != kind {
				continue
			}
			if found, err := os.FindProcess(proc.pid); err == nil && found.Kill() == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		p.t.Fatalf("no %v to kill", kinds)
	}
}

// freeze stops the project's process of a kind and waits until all its threads have:
// on a busy machine the others run on until one of them takes note of the signal.
func (p *project) freeze(kind string) {
	p.t.Helper()
	pid := p.pid(kind)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	p.await("the end of the "+kind+"'s threads", func() error {
		for _, path := range glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) {
			b, _ := os.ReadFile(path)
			if _, rest, _ := strings.Cut(string(b), ") "); !strings.HasPrefix(rest, "T") {
				return errors.New(path + " is not stopped")
			}
		}
		return nil
	})
}

// pid finds the project's process of a kind.
func (p *project) pid(kind string) int {
	p.t.Helper()
	for _, proc := range processes(p.root) {
		if proc.kind() == kind {
			return proc.pid
		}
	}
	p.t.Fatalf("no %s", kind)
	return 0
}

// kind is "controller" or "shim".
func (p process) kind() string {
	if filepath.Base(p.args[0]) == "stack-shim" {
		return "shim"
	}
	return "controller"
}

// containers maps names to the host pids of the containers' first processes.
func (p *project) containers() map[string]int {
	p.t.Helper()
	pids := map[string]int{}
	records, _ := filepath.Glob(filepath.Join(p.root, "lib/projects", p.name, "instances", "*.json"))
	for _, path := range records {
		var i struct{ ID, Name string }
		var state struct{ Pid int }
		p.read(path, &i)
		p.read(filepath.Join(p.root, "run", p.name, "containers", i.ID, "state.json"), &state)
		pids[i.Name] = state.Pid
	}
	return pids
}

// read reads a JSON file, leaving v alone when it is not there.
func (p *project) read(path string, v any) {
	b, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if err := json.Unmarshal(b, v); err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
}

// await tries until it works, and returns how long that took.
func (p *project) await(what string, try func() error) time.Duration {
	p.t.Helper()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return time.Since(begun)
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("%s: still %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
