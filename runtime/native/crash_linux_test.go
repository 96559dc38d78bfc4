package native

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/runtimetest"
)

// Wherever the creator is killed, State tells something sensible, Delete removes
// everything, and no process survives.
func TestCreatorKilled(t *testing.T) {
	needRoot(t)
	rootfs := runtimetest.Busybox(t)
	for point, want := range map[string]runtime.Status{
		"intend":  runtime.Stopped,
		"attach":  runtime.Stopped,
		"adopt":   runtime.Stopped,
		"created": runtime.StatusCreated,
	} {
		t.Run(point, func(t *testing.T) {
			ctx, r, id := context.Background(), newRuntime(t), testID(t)
			cmd, line := startHelper(t, r, rootfs, id, point, 0)
			if before, err := r.State(ctx, id); point != "created" && (err != nil || before.Status != runtime.Creating) {
				t.Errorf("before: %+v, %v", before, err)
			}
			cmd.Process.Kill()
			cmd.Wait()
			pid, _ := strconv.Atoi(line)
			if pid != 0 && want == runtime.Stopped { // the stub sees the end by itself
				unix.Wait4(pid, nil, 0, nil)
			}
			after, err := r.State(ctx, id)
			if err != nil || after.Status != want {
				t.Errorf("after: %+v, %v; want %s", after, err, want)
			}
			if list, err := r.List(ctx); err != nil || len(list) != 1 {
				t.Errorf("list: %v, %v", list, err)
			}
			check(t, r.Delete(ctx, id, false))
			if pid != 0 && want != runtime.Stopped {
				unix.Wait4(pid, nil, 0, nil)
			}
			if err := r.Delete(ctx, id, false); !errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("second delete: %v", err)
			}
			nothingLeft(t, id)
		})
	}
}

// A record that this program does not understand must not hide a container that lives.
func TestForcedDeleteOfUnknownRecord(t *testing.T) {
	needRoot(t)
	rootfs := runtimetest.Busybox(t)
	for name, spoil := range map[string]func(record string) string{
		"newer": func(record string) string { return strings.Replace(record, `"Version":1`, `"Version":99`, 1) },
		"torn":  func(record string) string { return record[:len(record)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, r, id := context.Background(), newRuntime(t), testID(t)
			spec := runtimetest.Spec(rootfs, "sleep", "1000")
			spec.Linux.CgroupsPath = "/stack/" + id // the one of a record that names none
			made, err := r.Create(ctx, runtime.Bundle{ID: id, Spec: spec})
			check(t, err)
			defer made.PidFD.Close()
			check(t, r.Start(ctx, id))
			h, err := r.open(id)
			check(t, err)
			defer h.Close()
			b, err := os.ReadFile(h.Name(recordName))
			check(t, err)
			check(t, os.WriteFile(h.Name(recordName), []byte(spoil(string(b))), 0o600))
			if err := r.Delete(ctx, id, false); err == nil || errors.Is(err, runtime.ErrNotFound) {
				t.Errorf("without force: %v", err)
			}
			check(t, r.Delete(ctx, id, true))
			if !ended(made.PidFD) {
				t.Error("the container's process lives on")
				signalProcess(made.PidFD, unix.SIGKILL)
			}
			reap(made.Pid)
			nothingLeft(t, id)
		})
	}
}

// A creator that died between its intent and the refusal of a cgroup in use left a
// record that names another's cgroup: nobody in there may be killed for it.
func TestDeleteSparesAnothersCgroup(t *testing.T) {
	needRoot(t)
	ctx, r, id := context.Background(), newRuntime(t), testID(t)
	other := create(t, runtimetest.Spec(runtimetest.Busybox(t), "sleep", "1000"))
	check(t, other.Start(ctx, other.id))
	spec := runtimetest.Spec(runtimetest.Busybox(t), "cat")
	spec.Linux.CgroupsPath = "/stack/conformance/" + other.id
	h, err := r.claim(ctx, id)
	check(t, err)
	c := &creating{Bundle: &runtime.Bundle{ID: id, Spec: spec}, runtime: r, home: h}
	check(t, c.prepare(ctx))
	check(t, c.intend(ctx))
	h.Close() // as by a crash
	check(t, r.Delete(ctx, id, true))
	if s, err := other.State(ctx, other.id); err != nil || s.Status != runtime.Running {
		t.Errorf("the other container: %+v, %v", s, err)
	}
	if _, err := r.State(ctx, id); !errors.Is(err, runtime.ErrNotFound) {
		t.Errorf("the record: %v", err)
	}
}

// nothingLeft looks for cgroups, mounts and processes.
func nothingLeft(t *testing.T, id string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	if strings.Contains(string(mounts), id) {
		t.Error("a mount is left")
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); strings.Contains(line, " - cgroup") {
			if _, err := os.Stat(fields[4] + "/stack/conformance/" + id); err == nil {
				t.Errorf("a cgroup is left in %s", fields[4])
			}
		}
	}
	if n := stubs(t); n != 0 {
		t.Errorf("%d stubs are left", n)
	}
}

// stubs counts our children and orphans that still run the stub.
func stubs(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	check(t, err)
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil || !strings.Contains(string(stat), "(stack-init)") {
			continue
		}
		if fields := strings.Fields(string(stat)); len(fields) > 3 && fields[3] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}

// A container created with CloneParent is its creator's parent's child, and any
// process can start it after its creator has ended.
func TestCloneParent(t *testing.T) {
	needRoot(t)
	ctx, r, id := context.Background(), newRuntime(t), testID(t)
	cmd, line := startHelper(t, r, runtimetest.Busybox(t), id, "parent", 0)
	check(t, cmd.Wait())
	pid, err := strconv.Atoi(line)
	check(t, err)
	stat, err := os.ReadFile("/proc/" + line + "/stat")
	check(t, err)
	if parent := strings.Fields(string(stat))[3]; parent != strconv.Itoa(os.Getpid()) {
		t.Errorf("the parent is %s", parent)
	}
	check(t, r.Start(ctx, id))
	check(t, r.Delete(ctx, id, true))
	var status unix.WaitStatus
	_, err = unix.Wait4(pid, &status, 0, nil)
	check(t, err)
	if status.Signal() != unix.SIGKILL {
		t.Errorf("status %v", status)
	}
	for { // its first stage
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil {
			break
		}
	}
	nothingLeft(t, id)
}

// Where memfds may not be executed an unlinked file takes their place.
func TestMemfdNoexec(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat(memfdNoexec); err != nil {
		runtimetest.Skip(t, "this kernel cannot forbid executable memfds (Linux 6.3): "+err.Error())
	}
	r, id := newRuntime(t), testID(t)
	cmd, line := startHelper(t, r, runtimetest.Busybox(t), id, "noexec", unix.CLONE_NEWPID|unix.CLONE_NEWNS)
	check(t, cmd.Wait())
	if line != "/bin/busybox" {
		t.Errorf("the program is %q", line)
	}
	nothingLeft(t, id)
}
