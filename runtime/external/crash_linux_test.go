package external

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/runtimetest"
)

// creatorWord makes the test's executable create, and start, one container of runc.
const creatorWord = "external-create"

// creator is what such a process is asked for.
type creator struct {
	Root, ID string
	Spec     *specs.Spec
}

func createAndStart(text string) int {
	var c creator
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return 2
	}
	r, err := runtimeAt(c.Root, "runc")
	if err != nil {
		return 2
	}
	made, err := r.Create(context.Background(), runtime.Bundle{ID: c.ID, Spec: c.Spec})
	if err == nil {
		made.PidFD.Close()
		err = r.Start(context.Background(), c.ID)
	}
	if err != nil {
		return 1
	}
	return 0
}

// Creators are killed at random moments of create and start; delete then removes
// whatever there is, and at the end nothing is left.
func TestCreatorsKilled(t *testing.T) {
	r := needRunc(t)
	rootfs := runtimetest.Busybox(t)
	cycles := 25
	if testing.Short() {
		cycles = 5
	}
	usual := attempt(t, r, rootfs, time.Minute)
	for range cycles {
		attempt(t, r, rootfs, time.Duration(rand.Int64N(int64(usual*5/4))))
	}
	if left := strays(t); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	if list, err := os.ReadDir(r.Root); err != nil || len(list) > 0 {
		t.Errorf("state is left: %v, %v", list, err)
	}
}

func needRunc(t *testing.T) *Runtime {
	t.Helper()
	if os.Getuid() != 0 {
		runtimetest.Skip(t, "containers need root")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		runtimetest.Skip(t, "runc is missing (Debian package runc)")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	return newRuntime(t, "runc")
}

// attempt kills a creator, deletes what it made, and tells how long it lived.
func attempt(t *testing.T, r *Runtime, rootfs string, after time.Duration) time.Duration {
	t.Helper()
	id := "crash-" + strconv.FormatUint(rand.Uint64(), 36)
	spec := runtimetest.Spec(rootfs, "sleep", "1000")
	spec.Linux.CgroupsPath = "/stack/conformance/" + id
	text, err := json.Marshal(creator{r.Root, id, spec})
	if err != nil {
		t.Fatal(err)
	}
	mounts := mountTable(t)
	cmd := exec.Command("/proc/self/exe", creatorWord, string(text))
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(after, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	kill.Stop()
	took := time.Since(begun)
	if after == time.Minute && err != nil {
		t.Fatalf("an undisturbed creator fails: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.Root, id)); err == nil {
		if err := r.Delete(context.Background(), id, true); err != nil {
			t.Errorf("after %v: %v", after, err)
		}
	}
	if now := mountTable(t); now != mounts {
		t.Errorf("after %v the mounts are\n%s\nand were\n%s", after, now, mounts)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/stack/conformance/", "/sys/fs/cgroup/stack/conformance/"} {
		if left, _ := filepath.Glob(pattern + id); len(left) > 0 {
			t.Errorf("after %v: %q are left", after, left)
		}
	}
	return took
}

func mountTable(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// strays are orphans of ours that live, after a while for those that are ending.
func strays(t *testing.T) (left []string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
		b, err := os.ReadFile("/proc/thread-self/children")
		if err != nil {
			t.Fatal(err)
		}
		left = nil
		for _, pid := range append(strings.Fields(string(b)), childrenOfThreads(t)...) {
			name, err := os.ReadFile("/proc/" + pid + "/comm")
			if err == nil {
				left = append(left, strings.TrimSpace(string(name)))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// childrenOfThreads are those of all our threads.
func childrenOfThreads(t *testing.T) (pids []string) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lists {
		b, err := os.ReadFile(name)
		if err == nil { // the thread may have ended
			pids = append(pids, strings.Fields(string(b))...)
		}
	}
	return pids
}

// The parent of an executed process is killed: the process goes on, and goes with its
// container.
func TestParentKilled(t *testing.T) {
	r := needRunc(t)
	ctx := context.Background()
	id := "parent-" + strconv.FormatUint(rand.Uint64(), 36)
	spec := runtimetest.Spec(runtimetest.Busybox(t), "sleep", "1000")
	spec.Linux.CgroupsPath = "/stack/conformance/" + id
	made, err := r.Create(ctx, runtime.Bundle{ID: id, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	made.PidFD.Close()
	defer r.Delete(ctx, id, true)
	if err := r.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	p, err := r.Exec(ctx, id, runtime.Exec{Process: runtimetest.Spec("", "sleep", "1000").Process})
	if err != nil {
		t.Fatal(err)
	}
	defer p.PidFD.Close()
	if p.Proxy == 0 || p.Proxy == p.Pid {
		t.Fatalf("the process has no parent of its own: %+v", p)
	}
	if err := unix.Kill(p.Proxy, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	unix.Wait4(p.Proxy, nil, 0, nil)
	if err := unix.PidfdSendSignal(int(p.PidFD.Fd()), 0, nil, 0); err != nil {
		t.Errorf("the process ended with its parent: %v", err)
	}
	if err := r.Delete(ctx, id, true); err != nil {
		t.Error(err)
	}
	if left := strays(t); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
}
