package native

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/runtimetest"
)

// TestMain lets the test binary be the creator that a test kills: as
//
//	binary helper ROOT ROOTFS ID POINT
//
// it creates a container and, at POINT, prints the pid and waits to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == "helper" {
		if err := helper(os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(root, rootfs, id, point string) error {
	spec := runtimetest.Spec(rootfs, "cat")
	spec.Linux.CgroupsPath = "/stack/conformance/" + id
	stop := func(at string) func(context.Context, int) error {
		return func(_ context.Context, pid int) error {
			if at == point {
				fmt.Println(pid)
				awaitKill()
			}
			return nil
		}
	}
	switch point {
	case "noexec":
		if err := forbidMemfds(); err != nil {
			return err
		}
	case "intend":
		return crashAfterIntent(root, spec.Linux.CgroupsPath, runtime.Bundle{ID: id, Spec: spec})
	}
	r := New(Options{Root: root, CloneParent: point == "parent"})
	created, err := r.Create(context.Background(), runtime.Bundle{
		ID: id, Spec: spec, Stdin: os.Stdin, Attach: stop("attach"), Adopt: stop("adopt"),
	})
	if err != nil {
		return err
	}
	if point == "noexec" {
		return finishHere(r, id, created)
	}
	fmt.Println(created.Pid)
	if point == "parent" {
		return nil
	}
	awaitKill()
	return nil
}

// awaitKill waits for ever. With select{} alone the Go runtime may see a deadlock.
func awaitKill() {
	for {
		time.Sleep(time.Hour)
	}
}

// crashAfterIntent stops where a cgroup exists and nothing else.
func crashAfterIntent(root, path string, b runtime.Bundle) error {
	r := New(Options{Root: root})
	h, err := r.claim(context.Background(), b.ID)
	if err != nil {
		return err
	}
	c := &creating{Bundle: &b, runtime: r, home: h}
	for _, step := range []func(context.Context) error{c.prepare, c.intend, c.limit} {
		if err := step(context.Background()); err != nil {
			return err
		}
	}
	fmt.Println(0)
	awaitKill()
	return nil
}

const memfdNoexec = "/proc/sys/vm/memfd_noexec"

// forbidMemfds runs in a pid namespace of its own, to which the setting belongs.
func forbidMemfds() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	return os.WriteFile(memfdNoexec, []byte("2"), 0)
}

func finishHere(r *Runtime, id string, created runtime.Created) error {
	ctx := context.Background()
	if err := r.Start(ctx, id); err != nil {
		return err
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", created.Pid))
	if err != nil {
		return err
	}
	fmt.Println(exe)
	return r.Delete(ctx, id, true)
}

// startHelper starts the helper and reads its first line.
func startHelper(t *testing.T, r *Runtime, rootfs, id, point string, flags uintptr) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "helper", string(r.root), rootfs, id, point)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	cmd.Stderr = os.Stderr
	in, keep, err := os.Pipe() // open as long as the test
	check(t, err)
	defer in.Close()
	t.Cleanup(func() { keep.Close() })
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	var line string
	if _, err := fmt.Fscanln(out, &line); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("the helper said nothing: %v", err)
	}
	return cmd, line
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		runtimetest.Skip(t, "containers need root")
	}
	check(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// testID is the test's name and something that no other run has.
func testID(t *testing.T) string {
	return strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()) + "-" + rand.Text()
}
