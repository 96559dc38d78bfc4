package scheduler

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

func TestExecProcess(t *testing.T) {
	s := &Store{Layout: Layout{Run: t.TempDir()}, Project: "p"}
	if err := os.MkdirAll(s.InstanceDir("id"), 0o700); err != nil {
		t.Fatal(err)
	}
	caps := []string{"CAP_CHOWN"}
	own := &specs.Process{
		Args: []string{"main"}, Cwd: "/srv", Terminal: true, Env: []string{"A=1", "HOME=/root"}, NoNewPrivileges: true,
		Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
	}
	if err := s.SaveProcess("id", own); err != nil {
		t.Fatal(err)
	}
	p, err := s.ExecProcess("id", ExecOptions{Args: []string{"sh"}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Terminal || p.Cwd != "/srv" || !p.NoNewPrivileges || !slices.Equal(p.Env, own.Env) || !slices.Equal(p.Capabilities.Effective, caps) {
		t.Errorf("%+v", p)
	}
	p, err = s.ExecProcess("id", ExecOptions{
		Args: []string{"sh"}, WorkingDir: "/", Env: map[string]string{"A": "2"}, User: &specs.User{UID: 7}, Home: "/h",
		Privileged: true, Terminal: true, Rows: 24, Columns: 80,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Terminal || p.ConsoleSize.Height != 24 || p.User.UID != 7 || p.Cwd != "/" || p.NoNewPrivileges ||
		!slices.Equal(p.Env, []string{"A=2", "HOME=/h", "TERM=xterm"}) || len(p.Capabilities.Bounding) < 40 {
		t.Errorf("%+v", p)
	}
	if _, err := s.ExecProcess("nonesuch", ExecOptions{}); err == nil {
		t.Error("a container without a program gave one")
	}
}

// The record of an ended `run --rm` stays until its client has read it, not longer.
func TestAwaitedRun(t *testing.T) {
	now := time.Now()
	i := &Instance{State: StateExited, Exit: &runtime.Exit{Code: 3}, Finished: now.Add(-time.Second), Run: &RunOptions{Remove: true, Attach: true}}
	p := &planner{now: now}
	if !p.awaited(i) || p.plan.RequeueAfter <= 0 || p.plan.RequeueAfter > attachPatience {
		t.Errorf("not awaited, or for %v", p.plan.RequeueAfter)
	}
	i.Finished = now.Add(-attachPatience)
	if p.awaited(i) {
		t.Error("awaited for ever")
	}
	i.Finished, i.Run.Attach = now, false
	if p.awaited(i) {
		t.Error("a run without a client is awaited")
	}
}
