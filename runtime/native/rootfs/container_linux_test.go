package rootfs

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const rangeStart, rangeSize = 700000, 65536

// container is a waiting first process and what is asked of its root.
type container struct {
	t      testing.TB
	target Target
	userNS *os.File
	setup  Setup
	dir    string // of the host, for layers and volumes
	ask    *json.Encoder
	told   *json.Decoder
	stop   func() // kills the first process; done at the end anyway
}

// newContainer starts a first process in namespaces of its own.
func newContainer(t testing.TB, userNS bool) *container {
	t.Helper()
	needRoot(t)
	requests, ask := pipe(t)
	told, replies := pipe(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{requests, replies}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
	}
	c := &container{t: t, dir: tempDir(t), ask: json.NewEncoder(ask)}
	if userNS {
		ids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: rangeStart, Size: rangeSize}}
		c.setup.UIDs, c.setup.GIDs = ids, ids
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = systemMappings(ids), systemMappings(ids)
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	requests.Close()
	replies.Close()
	c.stop = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	t.Cleanup(c.stop)
	c.told = json.NewDecoder(bufio.NewReader(told))
	c.collect(cmd.Process.Pid, userNS)
	return c
}

func pipe(t testing.TB) (r, w *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// tempDir is below / and open to other ids, unlike t.TempDir.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/var/tmp", "rootfs-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// collect takes the special mounts over from the first process.
func (c *container) collect(pid int, userNS bool) {
	c.t.Helper()
	var hello reply
	if err := c.told.Decode(&hello); err != nil || hello.Err != "" {
		c.t.Fatal("first process: ", err, hello.Err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer unix.Close(pidfd)
	c.target = Target{Pid: pid, Special: map[string]*os.File{}}
	for kind, number := range hello.Special {
		fd, err := unix.PidfdGetfd(pidfd, number, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), kind)
		c.t.Cleanup(func() { f.Close() })
		c.target.Special[kind] = f
	}
	if !userNS {
		return
	}
	name, err := os.Readlink(filepath.Join("/proc", "self", "ns", "user"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.userNS, err = os.Open("/proc/" + itoa(pid) + "/ns/user")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { c.userNS.Close() })
	if own, _ := os.Readlink("/proc/" + itoa(pid) + "/ns/user"); own == name {
		c.t.Fatal("the container has no user namespace of its own")
	}
	c.setup.UserNS = c.userNS
}

// build runs Build and moves the first process to its new root.
func (c *container) build() Result {
	c.t.Helper()
	r, err := c.tryBuild()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c *container) tryBuild() (Result, error) {
	r, err := Build(context.Background(), c.target, c.setup)
	if err == nil {
		c.t.Cleanup(r.close)
		c.must("chdir", "/", "")
	}
	return r, err
}

func (c *container) do(op, path, data string) reply {
	c.t.Helper()
	if err := c.ask.Encode(request{op, path, data}); err != nil {
		c.t.Fatal(err)
	}
	var r reply
	if err := c.told.Decode(&r); err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c *container) must(op, path, data string) reply {
	c.t.Helper()
	r := c.do(op, path, data)
	if r.Err != "" {
		c.t.Fatalf("%s %s: %s", op, path, r.Err)
	}
	return r
}

func (c *container) read(path string) string {
	c.t.Helper()
	return c.must("read", path, "").Text
}

// refuse expects a request to fail with one of the errors.
func (c *container) refuse(op, path string, want ...syscall.Errno) {
	c.t.Helper()
	r := c.do(op, path, "x")
	for _, no := range want {
		if r.Errno == int(no) {
			return
		}
	}
	c.t.Errorf("%s %s: got %q, want one of %v", op, path, r.Err, want)
}

// layer makes a directory of the host from path → content; a path that ends in
// "/" is a directory, content that begins with "-> " a link.
func (c *container) layer(name string, files map[string]string) string {
	c.t.Helper()
	dir := filepath.Join(c.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	for path, content := range files {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			c.t.Fatal(err)
		}
		var err error
		if link, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(link, full)
		} else if strings.HasSuffix(path, "/") {
			err = os.MkdirAll(full, 0o755)
		} else {
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return dir
}

// overlayRoot sets up an image of one layer.
func (c *container) overlayRoot(files map[string]string) {
	c.t.Helper()
	c.setup.Root.Lowers = []string{c.layer("layer", files)}
	c.setup.Root.Upper = filepath.Join(c.dir, "upper")
	c.setup.Root.Work = filepath.Join(c.dir, "work")
}

// standardMounts are those of a container made by Docker.
func standardMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=1m"}},
	}
}

var defaultMasked = []string{
	"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
}

var defaultReadonly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}

func hostStat(t testing.TB, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// both runs a test with and without a user namespace.
func both(t *testing.T, f func(t *testing.T, userNS bool)) {
	t.Run("userns", func(t *testing.T) { f(t, true) })
	t.Run("host-ids", func(t *testing.T) { f(t, false) })
}
