package cgroup

import (
	"stack/runtime"
	"stack/runtime/native/metrics"

	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// needHost gives the machine's control groups, or skips without root.
func needHost(t testing.TB) *Host {
	t.Helper()
	if os.Geteuid() != 0 {
		unable(t, "control groups need root")
	}
	h, err := Detect()
	if err != nil {
		unable(t, err.Error())
	}
	return h
}

// unable skips, or fails where CI demands every test.
func unable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("STACK_TEST_STRICT") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// project is a path below /stack for one test; what is left there at the end is
// removed and is a failure.
func project(t testing.TB) string {
	t.Helper()
	h := needHost(t)
	p := fmt.Sprintf("%s/test-%d-%s", home, os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	t.Cleanup(func() {
		if t.Failed() {
			_ = h.removeAll(p)
		}
		for _, dir := range h.group(p, true).tree.dirs() {
			if exists(dir) {
				t.Errorf("%s is left", dir)
				_ = h.removeAll(p)
			}
		}
	})
	return p
}

func create(t testing.TB, path string, res *specs.LinuxResources) *Group {
	t.Helper()
	g, warnings, err := Create(path, res)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Log("warning:", w)
	}
	return g
}

// start runs a command born in the group, as the runtime does: a thread enters
// and forks, then dies with its goroutine. /dev/null is opened before, for the
// rules of the group bind the thread, too.
func start(g *Group, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(args[0], args[1:]...)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	onThread(func() { err = spawn(g, cmd) })
	return cmd, err
}

func spawn(g *Group, cmd *exec.Cmd) error {
	if err := g.Enter(); err != nil {
		return err
	}
	dir, err := g.Dir()
	if err != nil {
		return err
	}
	if dir != nil {
		defer dir.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	return cmd.Start()
}

func mustStart(t testing.TB, g *Group, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := start(g, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

// until waits for something that no event tells.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content reads a control file of the group, wherever the controller is.
func content(t testing.TB, g *Group, controller, name string) string {
	t.Helper()
	v, err := readValue(filepath.Join(g.Paths()[controller], name))
	check(t, err)
	return v
}

func wait(ctx context.Context, t testing.TB, events <-chan struct{}) {
	t.Helper()
	select {
	case _, ok := <-events:
		if !ok {
			t.Fatal("the channel closed instead")
		}
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

func wantError(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error is %v, want %v", err, target)
	}
}

func isV1(t testing.TB) bool { return needHost(t).Mode != V2 }

// loopDevice makes a block device of 8 MB for the test.
func loopDevice(t testing.TB) (path string, number uint64) {
	t.Helper()
	file := t.TempDir() + "/disk"
	check(t, os.WriteFile(file, nil, 0o600))
	check(t, os.Truncate(file, 8*mb))
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	if err != nil {
		unable(t, "loop devices are not to be had: "+err.Error())
	}
	path = strings.TrimSpace(string(out))
	t.Cleanup(func() { check(t, exec.Command("losetup", "--detach", path).Run()) })
	var st unix.Stat_t
	check(t, unix.Stat(path, &st))
	return path, st.Rdev
}

func statistics(g *Group) (runtime.Stats, error) { return metrics.Read(g.Paths()) }

// removeAll kills what is below a path in any hierarchy and removes its groups.
func (h *Host) removeAll(path string) error {
	g := h.group(path, true)
	if err := g.Kill(); err != nil {
		return err
	}
	return g.Delete()
}
