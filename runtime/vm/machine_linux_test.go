package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/runtimetest"
)

// box is a machine under test.
type box struct {
	t    *testing.T
	rt   *Runtime
	id   string
	pid  int
	pidf *os.File
	out  *os.File
}

func boot(t *testing.T, rt *Runtime, root string, args ...string) (*box, error) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	spec := runtimetest.Spec(root, args...)
	spec.Annotations = map[string]string{Annotation: "vm"}
	b := &box{t: t, rt: rt, id: fmt.Sprintf("%064x", time.Now().UnixNano())}
	spec.Linux.CgroupsPath = "/stack/machine/" + b.id
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.out = r
	made, err := rt.Create(t.Context(), runtime.Bundle{ID: b.id, Spec: spec, Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	b.pid, b.pidf = made.Pid, made.PidFD
	t.Cleanup(b.clean)
	return b, rt.Start(t.Context(), b.id)
}

// clean deletes the machine and sees that nothing is left.
func (b *box) clean() {
	if err := b.rt.Delete(context.Background(), b.id, true); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		b.t.Error(err)
	}
	b.wait()
	b.out.Close()
	if b.rt.Machine(b.id) {
		b.t.Error("its record is left")
	}
	left, _ := filepath.Glob("/sys/fs/cgroup/*/stack/machine/" + b.id)
	more, _ := filepath.Glob("/sys/fs/cgroup/stack/machine/" + b.id)
	if left = append(left, more...); len(left) > 0 {
		b.t.Errorf("left: %v", left)
	}
}

func (b *box) wait() int {
	if b.pidf == nil {
		return -1
	}
	exit, err := runtime.Process{Pid: b.pid, PidFD: b.pidf}.Wait()
	b.pidf = nil
	if err != nil {
		b.t.Error(err)
	}
	return exit.Code
}

func (b *box) said() string {
	text, _ := io.ReadAll(b.out)
	return string(text)
}

// hypervisor is QEMU's pid on the host.
func (b *box) hypervisor() int {
	b.t.Helper()
	pids, err := b.rt.Pids(b.t.Context(), b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, pid := range pids {
		if line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(line), "qemu-system") {
			return pid
		}
	}
	b.t.Fatal("no hypervisor runs")
	return 0
}

// TestConfinement: the hypervisor is nobody on the host, and has nothing of it.
func TestConfinement(t *testing.T) {
	b, err := boot(t, newRuntime(t), runtimetest.Busybox(t), "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	pid := b.hypervisor()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	first := strconv.Itoa(runtimetest.FirstID)
	for key, want := range map[string]string{
		"Uid": strings.TrimSpace(strings.Repeat(first+" ", 4)), "Gid": strings.TrimSpace(strings.Repeat(first+" ", 4)),
		"NoNewPrivs": "1", "Seccomp": "2",
	} {
		if fields[key] != want {
			t.Errorf("%s is %q, want %q", key, fields[key], want)
		}
	}
	caps, err := strconv.ParseUint(fields["CapBnd"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]int{"NET_ADMIN": unix.CAP_NET_ADMIN, "SYS_ADMIN": unix.CAP_SYS_ADMIN, "SETPCAP": unix.CAP_SETPCAP, "SYS_PTRACE": unix.CAP_SYS_PTRACE, "NET_RAW": unix.CAP_NET_RAW, "MKNOD": unix.CAP_MKNOD} {
		if caps&(1<<c) != 0 {
			t.Errorf("the hypervisor has CAP_%s", name)
		}
	}
	for _, ns := range []string{"user", "pid", "net", "mnt", "ipc", "uts", "cgroup"} {
		ours, _ := os.Readlink("/proc/self/ns/" + ns)
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
		if err != nil || ours == theirs {
			t.Errorf("the hypervisor shares the host's %s namespace (%v)", ns, err)
		}
	}
	root, err := os.ReadDir(fmt.Sprintf("/proc/%d/root", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range root {
		if !slices.Contains([]string{"bin", "dev", "etc", "lib", "lib64", "machine", "proc", "tmp", "usr"}, e.Name()) {
			t.Errorf("the hypervisor sees /%s", e.Name())
		}
	}
	etc, _ := os.ReadDir(fmt.Sprintf("/proc/%d/root/etc", pid))
	for _, e := range etc {
		if e.Name() != "ld.so.cache" {
			t.Errorf("the hypervisor sees /etc/%s", e.Name())
		}
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, d.Name()))
		inside := strings.HasPrefix(to, "/machine/") || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "pipe:") || to == "/dev/null"
		if !inside {
			t.Errorf("the hypervisor has %s open", to)
		}
	}
}

// TestBootTimeout: a kernel that is not up in time is given up, told, and gone.
func TestBootTimeout(t *testing.T) {
	rt := newRuntime(t)
	rt.o.Boot = 50 * time.Millisecond
	b, err := boot(t, rt, runtimetest.Busybox(t), "true")
	if err == nil || !strings.Contains(err.Error(), "the machine's kernel did not come up within 50ms") {
		t.Errorf("start: %v", err)
	}
	if code := b.wait(); code != 255 {
		t.Errorf("exit code %d", code)
	}
	if said := b.said(); !strings.Contains(said, "did not come up within") {
		t.Errorf("it said %q", said)
	}
}

// TestStopWhileBooting: who is stopped before the program runs ends at once.
func TestStopWhileBooting(t *testing.T) {
	rt := newRuntime(t)
	ctx := t.Context()
	up := make(chan struct{})
	go func() {
		for {
			select {
			case <-up:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if list, err := rt.List(ctx); err == nil && len(list) == 1 {
				rt.Kill(ctx, list[0].ID, unix.SIGTERM, false)
			}
		}
	}()
	b, err := boot(t, rt, runtimetest.Busybox(t), "sleep", "1000")
	close(up)
	if err == nil {
		t.Fatal("it booted though it was told to stop all the while")
	}
	if code := b.wait(); code != 128+int(unix.SIGTERM) {
		t.Errorf("exit code %d after %v", code, err)
	}
}
