package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const waiting = "trap 'exit 5' TERM; echo begun; while :; do sleep 0.05; done"

func TestLifecycle(t *testing.T) {
	m := newMachine(t)
	bundle := m.bundle(waiting)
	id, output := m.create(bundle, "--pid-file", filepath.Join(bundle, "pid"))
	s := m.state(id)
	pid, _ := os.ReadFile(filepath.Join(bundle, "pid"))
	if s.Status != "created" || s.Version != specs.Version || s.Bundle != bundle || s.ID != id || strconv.Itoa(s.Pid) != string(pid) {
		t.Errorf("state %+v, pid file %q", s, pid)
	}
	// Its creator has ended: it is ours, as it would be containerd-shim's.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid))
	check(t, err)
	if parent := strings.Fields(string(stat))[3]; parent != strconv.Itoa(os.Getpid()) {
		t.Errorf("the parent is %s", parent)
	}
	if info, err := os.Stat(m.root); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory: %v, %v", info.Mode(), err)
	}
	if out, code := m.do("exec", id, "true"); code != 255 || !strings.Contains(out, "not running") {
		t.Errorf("exec before start: %d, %s", code, out)
	}
	m.must("start", id)
	m.await(id, "running")
	m.awaitFile(output, "begun")
	if out, code := m.do("start", id); code != 1 {
		t.Errorf("started twice: %s", out)
	}
	if out, code := m.do("delete", id); code != 1 || !strings.Contains(out, "running") {
		t.Errorf("deleted while it runs: %d, %s", code, out)
	}
	m.must("kill", id, "TERM")
	var status unix.WaitStatus
	_, err = unix.Wait4(s.Pid, &status, 0, nil)
	check(t, err)
	if status.ExitStatus() != 5 {
		t.Errorf("the parent sees exit status %v", status)
	}
	m.await(id, "stopped")
	if out, code := m.do("kill", id, "9"); code != 1 || !strings.Contains(out, "container not running") {
		t.Errorf("kill after the end: %d, %s", code, out)
	}
	m.must("delete", id)
	if out, code := m.do("state", id); code != 1 || !strings.Contains(out, "does not exist") {
		t.Errorf("state after delete: %d, %s", code, out)
	}
}

func TestRun(t *testing.T) {
	m := newMachine(t)
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$; exit 3": 3} {
		if out, code := m.do("run", "-b", m.bundle(script), newID()); code != want {
			t.Errorf("%q: exit %d: %s", script, code, out)
		}
	}
	missing := m.bundle("", func(s *specs.Spec) { s.Process.Args = []string{"/nothing"} })
	if out, code := m.do("run", "-b", missing, newID()); code != 1 || !strings.Contains(out, "no such file or directory") {
		t.Errorf("missing program: exit %d: %s", code, out)
	}
	if list := m.must("list", "-q"); list != "" {
		t.Errorf("left: %s", list)
	}
}

func TestRunForwardsSignals(t *testing.T) {
	m := newMachine(t)
	cmd := m.command("run", "-b", m.bundle(waiting), newID())
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	var word string
	_, err = fmt.Fscan(out, &word)
	check(t, err)
	check(t, cmd.Process.Signal(unix.SIGTERM))
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 5 {
		t.Errorf("exit %d", code)
	}
}

func TestExec(t *testing.T) {
	m := newMachine(t)
	id, _ := m.create(m.bundle(waiting))
	m.must("start", id)
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"exec", id, "sh", "-c", "echo in; exit 4"}, "in", 4},
		{[]string{"exec", "-e", "A=b", "--cwd", "/tmp", "-u", "12:13", id, "sh", "-c", "echo $A $PWD $(id -u) $(id -g)"}, "b /tmp 12 13", 0},
		{[]string{"exec", id, "/nothing"}, "no such file or directory", 255},
		{[]string{"exec", "nobody", "true"}, "does not exist", 255},
	} {
		if out, code := m.do(c.args...); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit %d: %s", c.args, code, out)
		}
	}
	dir := t.TempDir()
	process, err := json.Marshal(specs.Process{Args: []string{"sleep", "100"}, Env: []string{"PATH=/bin"}, Cwd: "/"})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "process.json"), process, 0o600))
	cmd := m.command("exec", "-d", "--process", filepath.Join(dir, "process.json"), "--pid-file", filepath.Join(dir, "pid"), id)
	check(t, cmd.Run())
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	check(t, err)
	var pids []int
	check(t, json.Unmarshal([]byte(m.must("ps", "-f", "json", id)), &pids))
	if n, _ := strconv.Atoi(string(pid)); len(pids) < 2 || pids[len(pids)-1] < n {
		t.Errorf("pid %s, in the container %v", pid, pids)
	}
	if table := m.must("ps", id); !strings.Contains(table, "sleep 100") {
		t.Errorf("ps: %s", table)
	}
	m.must("kill", "-a", id, "KILL")
	m.await(id, "stopped")
}

func TestPauseUpdateEvents(t *testing.T) {
	m := newMachine(t)
	id, _ := m.create(m.bundle(waiting))
	m.must("start", id)
	m.must("pause", id)
	m.await(id, "paused")
	m.must("resume", id)
	m.await(id, "running")
	m.must("update", "--memory", "64m", "--pids-limit", "17", id)
	var e event
	check(t, json.Unmarshal([]byte(m.must("events", "--stats", id)), &e))
	if e.Type != "stats" || e.ID != id || e.Data.Memory.Usage.Limit != 64<<20 || e.Data.Pids.Limit != 17 || e.Data.Memory.Usage.Usage == 0 {
		t.Errorf("got %+v %+v", e, e.Data)
	}
	if out, code := m.do("update", "--pids-limit", "x", id); code != 1 {
		t.Errorf("accepted a limit that is no number: %s", out)
	}
	if table := m.must("list"); !strings.Contains(table, id) || !strings.Contains(table, "running") {
		t.Errorf("list: %s", table)
	}
}

func TestGlobalFlags(t *testing.T) {
	m := newMachine(t)
	log := filepath.Join(t.TempDir(), "log")
	m.do("--log", log, "--log-format", "json", "state", "nobody")
	var line struct{ Level, Msg string }
	text, err := os.ReadFile(log)
	check(t, err)
	if err := json.Unmarshal(text, &line); err != nil || line.Level != "error" || !strings.Contains(line.Msg, "does not exist") {
		t.Errorf("log: %q, %v", text, err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--systemd-cgroup is not supported", []string{"--systemd-cgroup", "list"}},
		{"unknown command", []string{"checkpoint", "x"}},
		{"wrong number of arguments", []string{"state"}},
		{"invalid container ID", []string{"state", "../x"}},
		{"unknown signal", []string{"kill", "x", "NONE"}},
		{"give --console-socket", []string{"create", "-b", m.bundle("", func(s *specs.Spec) { s.Process.Terminal = true }), "x"}},
		{"cannot preserve descriptor", []string{"create", "--preserve-fds", "1", "-b", m.bundle(""), "x"}},
	} {
		if out, code := m.do(c.args...); code != 1 || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit %d: %s", c.args, code, out)
		}
	}
	if out := m.must("--version"); !strings.Contains(out, "spec: "+specs.Version) {
		t.Errorf("version: %s", out)
	}
}

// What `spec` writes is what `run` takes.
func TestSpec(t *testing.T) {
	m := newMachine(t)
	dir := t.TempDir()
	m.must("spec", "-b", dir)
	if out, code := m.do("spec", "-b", dir); code != 1 {
		t.Errorf("overwritten: %s", out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	check(t, err)
	spec, err := parseConfig(text)
	check(t, err)
	check(t, os.Symlink(m.rootfs, filepath.Join(dir, "rootfs")))
	spec.Process.Terminal, spec.Process.Args = false, []string{"hostname"}
	if out, code := m.do("run", "-b", m.write(withRoot(spec, dir)), newID()); code != 0 || out != "stack" {
		t.Errorf("exit %d: %s", code, out)
	}
}

func withRoot(s *specs.Spec, dir string) *specs.Spec {
	s.Root.Path = filepath.Join(dir, "rootfs")
	return s
}
