package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stack/runtime/shim"
)

const single = `
services:
  web:
    image: rootfs:/
    init: true
    command: ["sh", "-c", "echo started; touch /written; exec sleep 1000"]
    tty: %v
`

// TestWithoutRoot is told the very command to type instead.
func TestWithoutRoot(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(single, false))
	public := publicCopy(t, "stack", "stack-shim")
	for _, path := range []string{p.dir, filepath.Dir(p.dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(p.dir, "stack.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	nobody := func(args ...string) (string, error) {
		c := exec.Command(filepath.Join(public, "stack"), args...)
		c.Dir = p.dir
		c.Env = []string{"PATH=/usr/bin:/bin", "COMPOSE_PROJECT_NAME=" + p.name}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"up", "-d"}, {"down"}, {"up", "-d", "--scale", "web=2"}} {
		out, err := nobody(args...)
		want := "sudo " + filepath.Join(public, "stack") + " " + strings.Join(args, " ")
		var code *exec.ExitError
		if !errors.As(err, &code) || code.ExitCode() != 1 || !strings.Contains(out, want+"\n") {
			t.Errorf("%v: %v: want %q in\n%s", args, err, want, out)
		}
	}
	if out, err := nobody("config"); err != nil || !strings.Contains(out, "rootfs:/") {
		t.Errorf("config needs no root: %v: %s", err, out)
	}
}

// publicCopy copies our binaries to where everybody may run them.
func publicCopy(t *testing.T, names ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "st-bin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(binDir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestStateOnOverlay keeps all state on an overlay, as in a CI container: overlay on
// overlay does not work there, so the program says so and finds another way.
func TestStateOnOverlay(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(single, false))
	// The shim keeps the private mount namespace alive, as it would a container's;
	// later commands enter it.
	setup := `
mount -t tmpfs none "$1" && mkdir "$1/l" "$1/u" "$1/w" "$1/m" &&
mount -t overlay -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" none "$1/m" && mkdir "$1/m/root" || exit 99
shift; exec "$@"`
	dir := t.TempDir()
	p.root = filepath.Join(dir, "m/root")
	p.wrap = []string{"unshare", "-m", "--propagation", "private", "sh", "-c", setup, "sh", dir}
	out, err := p.try("up", "-d")
	if err != nil {
		t.Fatalf("up: %v\n%s", err, out)
	}
	if !strings.Contains(out, "overlay") {
		t.Errorf("no warning tells of the fallback:\n%s", out)
	}
	inside := fmt.Sprintf("--mount=/proc/%d/ns/mnt", p.pid("shim"))
	p.wrap = []string{"nsenter", inside, "--wd=" + p.dir, "--"}
	p.await("the log", func() error {
		if out := p.run("logs", "--no-log-prefix"); out != "started\n" {
			return fmt.Errorf("%q", out)
		}
		return nil
	})
	p.run("exec", "-T", "web", "test", "-e", "/written")
	p.run("restart", "-t", "1")
	p.run("exec", "-T", "web", "test", "-e", "/usr/bin/env")
	p.run("down", "-t", "1")
	p.wrap = nil
	if left := settle(p.root, p.name); len(left) > 0 {
		t.Errorf("left: %s", strings.Join(left, "\n"))
	}
	p.root = newStateRoot(t) // what is left to take down is nothing
}

// TestOutlivesItsStarter starts a stack from a process with a session and cgroups of
// its own, as a CI job or a login has, and ends all of these.
func TestOutlivesItsStarter(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(single, true))
	groups := jobCgroups(t, "st-job-"+p.name)
	join := ""
	for _, g := range groups {
		join += "echo $$ > " + g + "/cgroup.procs && "
	}
	// A second process of the job, which stays until it is killed with the job.
	p.wrap = []string{"setsid", "sh", "-c", join + `{ sleep 1000 >/dev/null 2>&1 & } && "$@"`, "sh"}
	up := p.command("up", "-d")
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.wrap = nil
	before := p.containers()
	for _, g := range groups {
		killCgroup(t, g)
	}
	for _, g := range groups {
		p.await("the end of cgroup "+g, func() error { return os.Remove(g) })
	}
	if now := p.containers(); len(now) != 1 || now[p.name+"-web-1"] != before[p.name+"-web-1"] {
		t.Errorf("containers are %v, were %v", now, before)
	}
	p.run("exec", "-T", "web", "true")
	p.run("scale", "web=2") // a fresh container too
	p.run("exec", "-T", "--index", "2", "web", "true")
}

// jobCgroups makes a cgroup in each hierarchy, below that of this test.
func jobCgroups(t *testing.T, name string) []string {
	t.Helper()
	list, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	for line := range strings.Lines(string(list)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		base := "/sys/fs/cgroup/" + strings.TrimPrefix(part[1], "name=")
		if part[1] == "" {
			if base = "/sys/fs/cgroup"; exists(base + "/unified") {
				base += "/unified"
			}
		}
		dir := filepath.Join(base, part[2], name)
		if strings.Contains(part[1], "cpuset") || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		made = append(made, dir)
	}
	if len(made) == 0 {
		t.Fatal("no cgroup can be made")
	}
	return made
}

func killCgroup(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadFile(dir + "/cgroup.procs")
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(list)) {
		var n int
		if _, err := fmt.Sscan(pid, &n); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
}

// TestOlderShim meets a living shim of another release.
func TestOlderShim(t *testing.T) {
	t.Parallel()
	p := newProject(t, fmt.Sprintf(single, false))
	dir := filepath.Join(p.root, "run", p.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "shim.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: socket, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for b := make([]byte, 1<<16); ; {
					if _, err := c.Read(b); err != nil {
						return
					}
					_ = json.NewEncoder(c).Encode(shim.Response{Version: shim.Version + 1, Pid: 4242})
				}
			}()
		}
	}()
	for _, args := range [][]string{{"up", "-d"}, {"down"}} {
		out, err := p.try(args...)
		if err == nil || !strings.Contains(out, "4242") || !strings.Contains(out, "take the stack down with the release that started it") {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
}

// TestOtherState meets state that another release wrote: told at once, not waited
// for, whether the command can see it or only the controller.
func TestOtherState(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"wish.json", "instances/4711.json"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			p := newProject(t, fmt.Sprintf(single, false))
			path := filepath.Join(p.root, "lib/projects", p.name, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(`{"Version": 99}`), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"up", "-d"}, {"down"}} {
				begun := time.Now()
				out, err := p.try(args...)
				if err == nil || !strings.Contains(out, "has format 99, this stack reads 1") {
					t.Errorf("%v: %v: %s", args, err, out)
				}
				if took := time.Since(begun); took > 20*time.Second {
					t.Errorf("%v took %v", args, took)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		})
	}
}
