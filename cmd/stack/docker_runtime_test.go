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

// TestDockerRuntime has Docker run containers with --runtime=stack.
func TestDockerRuntime(t *testing.T) {
	cmdtest.NeedRoot(t)
	t.Parallel()
	registrytest.Need(t, "dockerd")
	d := newDocker(t)
	t.Run("run", d.testRun)
	t.Run("service", d.testService)
}

// docker is a dockerd that knows our runtime, and an image for it.
type docker struct {
	host   *host
	socket string
}

func newDocker(t *testing.T) *docker {
	link := filepath.Join(t.TempDir(), "stack-oci")
	if err := os.Symlink(filepath.Join(binDir, "stack-shim"), link); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, 46)
	d := &docker{h, h.startDocker("--add-runtime", "stack="+link)}
	root := runtimetest.Busybox(t)
	if err := os.WriteFile(filepath.Join(root, "index.html"), []byte("served\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tar := filepath.Join(t.TempDir(), "box.tar")
	if out, err := exec.Command("tar", "-C", root, "-cf", tar, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.must(t, "import", tar, "box")
	return d
}

// do runs the docker command and returns its output and exit code.
func (d *docker) do(t *testing.T, args ...string) (string, int) {
	t.Helper()
	line := d.host.enter(append([]string{"docker", "-H", "unix://" + d.socket}, args...)...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(d.socket))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

func (d *docker) must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := d.do(t, args...)
	if code != 0 {
		t.Fatalf("docker %v: exit %d: %s", args, code, out)
	}
	return out
}

// want compares output and exit code.
func (d *docker) want(t *testing.T, text string, code int, args ...string) {
	t.Helper()
	if out, got := d.do(t, args...); got != code || !strings.Contains(out, text) {
		t.Errorf("docker %v: exit %d, want %d; output %q, want %q in it", args, got, code, out, text)
	}
}

func (d *docker) testRun(t *testing.T) {
	run := []string{"run", "--rm", "--runtime=stack"}
	d.want(t, "out", 7, append(run, "box", "sh", "-c", "echo out; exit 7")...)
	d.want(t, "no such file or directory", 127, append(run, "box", "/nothing")...)
	d.want(t, "permission denied", 126, append(run, "box", "/bin/denied")...)
	d.want(t, "/dev/pts/0", 0, append(run, "-t", "box", "tty")...)
	d.want(t, "1000:1000 /tmp inside", 0, append(run, "-u", "1000:1000", "-w", "/tmp", "-h", "inside", "box", "sh", "-c", "echo $(id -u):$(id -g) $PWD $(hostname)")...)
	d.want(t, "permission denied", 1, append(run, "box", "mount", "-t", "tmpfs", "tmpfs", "/home")...)
	d.want(t, "CapEff:\t0000000000000000", 0, append(run, "--cap-drop=ALL", "box", "grep", "CapEff", "/proc/self/status")...)
	d.want(t, "Read-only file system", 1, append(run, "--read-only", "box", "touch", "/x")...)
	d.want(t, "mounted", 0, append(run, "--privileged", "box", "sh", "-c", "mount -t tmpfs tmpfs /home && test -c /dev/ptmx && echo mounted")...)
	d.want(t, "hostpid", 0, append(run, "--pid=host", "--network=host", "--ipc=host", "box", "sh", "-c", "test -d /proc/2 && echo hostpid")...)
	d.want(t, "NoNewPrivs:\t1", 0, append(run, "--security-opt=no-new-privileges", "--ulimit=nofile=100:200", "--sysctl=net.ipv4.ip_forward=0", "box", "grep", "NoNew", "/proc/self/status")...)
	if out := d.must(t, "ps", "-aq"); out != "" {
		t.Errorf("containers are left: %s", out)
	}
}

func (d *docker) testService(t *testing.T) {
	d.must(t, "run", "-d", "--name", "web", "--runtime=stack", "--restart=always", "-p", "18390:80", "-m", "64m", "--pids-limit", "50",
		"box", "sh", "-c", "echo begun; trap 'exit 0' TERM; httpd -f -p 80 -h / & wait")
	defer d.do(t, "rm", "-f", "web")
	ask := func() string { // what it answers once it listens
		return d.host.sh("for i in $(seq 50); do busybox wget -qO- http://127.0.0.1:18390/index.html 2>/dev/null && exit; sleep 0.1; done; exit 1")
	}
	if got := ask(); got != "served\n" {
		t.Errorf("the port answers %q", got)
	}
	d.want(t, "served", 0, "exec", "web", "cat", "/index.html")
	d.want(t, "/dev/pts/0", 3, "exec", "-t", "web", "sh", "-c", "tty; exit 3")
	d.want(t, "begun", 0, "logs", "web")
	d.want(t, "httpd -f -p 80", 0, "top", "web")
	d.want(t, "64MiB", 0, "stats", "--no-stream", "--format", "{{.MemUsage}}", "web")
	d.must(t, "pause", "web")
	d.want(t, "paused", 0, "inspect", "-f", "{{.State.Status}}", "web")
	d.must(t, "unpause", "web")
	d.must(t, "update", "-m", "32m", "--memory-swap", "64m", "web")
	d.want(t, "32MiB", 0, "stats", "--no-stream", "--format", "{{.MemUsage}}", "web")
	d.must(t, "restart", "-t", "5", "web")
	if got := ask(); got != "served\n" {
		t.Errorf("after a restart the port answers %q", got)
	}
	// restart=always: it comes back when it dies.
	pid := d.must(t, "inspect", "-f", "{{.State.Pid}}", "web")
	d.host.sh("kill -9 " + pid)
	for deadline := time.Now().Add(patience); d.must(t, "inspect", "-f", "{{.RestartCount}} {{.State.Running}}", "web") != "1 true"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not restarted after its death")
		}
	}
	if got := ask(); got != "served\n" { // by now its trap stands
		t.Errorf("after its death the port answers %q", got)
	}
	d.must(t, "stop", "-t", "5", "web")
	d.want(t, "exited 0", 0, "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "web")
}
