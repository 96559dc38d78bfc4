package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stack/cmd/internal/cmdtest"
	"stack/runtime/image/registry/registrytest"
	"stack/runtime/runtimetest"
)

// caller is a program that runs containers with stack-oci.
type caller struct {
	dir, rootfs string
	argv, env   []string
}

// newCaller looks for the programs; paths in dir are short, for sockets.
func newCaller(t *testing.T, programs ...string) *caller {
	t.Helper()
	cmdtest.NeedRoot(t)
	t.Parallel()
	registrytest.Need(t, programs...)
	dir, err := os.MkdirTemp("", "st-caller-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c := &caller{dir: dir, rootfs: runtimetest.Busybox(t), env: append(os.Environ(), "HOME="+dir)}
	if err := os.Symlink(filepath.Join(binDir, "stack-shim"), c.runtime()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *caller) runtime() string { return filepath.Join(c.dir, "stack-oci") }

func (c *caller) do(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(c.argv[0], append(c.argv[1:len(c.argv):len(c.argv)], args...)...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

func (c *caller) want(t *testing.T, text string, code int, args ...string) {
	t.Helper()
	if out, got := c.do(t, args...); got != code || !strings.Contains(out, text) {
		t.Errorf("%v: exit %d, want %d; output %q, want %q in it", args, got, code, out, text)
	}
}

// eventually repeats a command until it says text.
func (c *caller) eventually(t *testing.T, text string, args ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		out, code := c.do(t, args...)
		if code == 0 && strings.Contains(out, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v: exit %d, %q: never %q", args, code, out, text)
		}
	}
}

// nothingLeft looks for what our runtime keeps of containers.
func (c *caller) nothingLeft(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), c.dir) {
		t.Errorf("mounts are left:\n%s", mounts)
	}
}

// TestPodmanRuntime has podman run containers with --runtime PATH.
func TestPodmanRuntime(t *testing.T) {
	c := newCaller(t, "podman", "conmon")
	c.argv = []string{
		"podman", "--root", c.dir + "/root", "--runroot", c.dir + "/run", "--tmpdir", c.dir + "/tmp", "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", c.runtime(),
	}
	run := func(args ...string) []string {
		n := len(args) // options, then a script
		return append(append([]string{"run", "--network", "none"}, args[:n-1]...), "--rootfs", c.rootfs, "sh", "-c", args[n-1])
	}
	c.want(t, "out", 7, run("--rm", "echo out; exit 7")...)
	c.want(t, "/dev/pts/0", 0, run("--rm", "-t", "tty")...)
	c.want(t, "1000:1000 /tmp inside", 0, run("--rm", "-u", "1000:1000", "-w", "/tmp", "-h", "inside", "echo $(id -u):$(id -g) $PWD $(hostname)")...)
	c.want(t, "Read-only file system", 1, run("--rm", "--read-only", "touch /x")...)
	c.want(t, "CapEff:\t0000000000000000", 0, run("--rm", "--cap-drop=ALL", "grep CapEff /proc/self/status")...)
	c.want(t, "0 100000 5000", 0, run("--rm", "--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000", "echo $(cat /proc/self/uid_map)")...)

	c.want(t, "", 0, run("-d", "--name", "long", "-m", "64m", "trap 'exit 3' TERM; echo begun; while :; do sleep 0.1; done")...)
	c.want(t, c.runtime(), 0, "inspect", "-f", "{{.OCIRuntime}}", "long")
	c.want(t, "67108864", 0, "inspect", "-f", "{{.HostConfig.Memory}}", "long")
	c.want(t, "here", 4, "exec", "long", "sh", "-c", "echo here; exit 4")
	c.want(t, "sleep", 0, "top", "long", "args")
	c.want(t, "", 0, "pause", "long")
	c.want(t, "paused", 0, "inspect", "-f", "{{.State.Status}}", "long")
	c.want(t, "", 0, "unpause", "long")
	c.want(t, "", 0, "stop", "-t", "10", "long")
	c.want(t, "exited 3", 0, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "long")
	c.want(t, "begun", 0, "logs", "long")
	c.want(t, "", 0, "rm", "-f", "long")
	c.want(t, "", 0, "ps", "-aq")
	c.nothingLeft(t)
}

// TestContainerdRuntime has containerd run containers with --runc-binary, as a
// RuntimeClass of Kubernetes would.
func TestContainerdRuntime(t *testing.T) {
	c := newCaller(t, "containerd", "ctr", "containerd-shim-runc-v2")
	c.startContainerd(t)
	one, long := filepath.Base(c.dir)+"-one", filepath.Base(c.dir)+"-long" // in a root of the machine's
	run := func(id string, args ...string) []string {
		n := len(args)
		return append(append([]string{"run", "--runtime", "io.containerd.runc.v2", "--runc-binary", c.runtime()}, args[:n-1]...),
			"--rootfs", c.rootfs, id, "/bin/sh", "-c", args[n-1])
	}
	defer c.do(t, "task", "delete", "-f", long) // after a failure
	c.want(t, "out", 5, run(one, "--rm", "echo out; exit 5")...)
	c.want(t, "", 0, run(long, "-d", "trap 'exit 3' TERM; while :; do sleep 0.1; done")...)
	c.want(t, "RUNNING", 0, "task", "ls")
	c.want(t, "uid=0", 0, "task", "exec", "--exec-id", "e", long, "/bin/id")
	c.want(t, "memory", 0, "task", "metrics", long)
	c.want(t, "", 0, "task", "pause", long)
	c.want(t, "PAUSED", 0, "task", "ls")
	c.want(t, "", 0, "task", "resume", long)
	c.want(t, "", 0, "task", "kill", "-s", "SIGTERM", long)
	c.eventually(t, "STOPPED", "task", "ls")
	c.want(t, "exit code 3", 0, "task", "delete", long)
	c.want(t, "", 0, "container", "delete", long)
	c.nothingLeft(t)
}

// startContainerd starts one of the test's own, which ends with it.
func (c *caller) startContainerd(t *testing.T) {
	t.Helper()
	config := `version = 2
root = "DIR/root"
state = "DIR/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "DIR/sock"
[ttrpc]
  address = "DIR/ttrpc"
`
	file := c.dir + "/config.toml"
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "DIR", c.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("containerd", "-c", file, "-l", "warn")
	daemon.Env = c.env
	var said strings.Builder
	daemon.Stderr = &said
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Signal(os.Interrupt)
		daemon.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	c.argv = []string{"ctr", "-a", c.dir + "/sock"}
	c.eventually(t, "Revision", "version")
}
