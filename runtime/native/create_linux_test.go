package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/cgroup"
	"stack/runtime/runtimetest"
)

// made is a created container of a test.
type made struct {
	*Runtime
	id string
	runtime.Created
}

func create(t *testing.T, spec *specs.Spec, change ...func(*runtime.Bundle)) made {
	t.Helper()
	needRoot(t)
	b := runtime.Bundle{ID: testID(t), Spec: spec}
	for _, f := range change {
		f(&b)
	}
	m := made{Runtime: newRuntime(t), id: b.ID}
	spec.Linux.CgroupsPath = "/stack/conformance/" + m.id
	var err error
	m.Created, err = m.Create(context.Background(), b)
	check(t, err)
	t.Cleanup(func() {
		if err := m.Delete(context.Background(), m.id, true); err != nil {
			t.Errorf("cannot clean up: %v", err)
		}
		unix.Wait4(m.Pid, nil, 0, nil)
		m.PidFD.Close()
		nothingLeft(t, m.id)
	})
	return m
}

func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	check(t, err)
	return string(b)
}

// field returns a value of /proc/PID/status.
func field(t *testing.T, pid int, name string) string {
	t.Helper()
	for line := range strings.Lines(procFile(t, pid, "status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("no field %s", name)
	return ""
}

// While it waits the first process is small, unreadable for the container's
// root, and holds nothing but its standard files and the socket.
func TestWaitingProcess(t *testing.T) {
	m := create(t, runtimetest.Spec(runtimetest.Busybox(t), "true"))
	var size int
	fmt.Sscan(field(t, m.Pid, "VmRSS"), &size)
	if size > 64 {
		t.Errorf("it has %d kB resident", size)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", m.Pid))
	check(t, err)
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		t.Errorf("its memory is readable for uid %d", uid)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.Pid))
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "0 1 2 4" {
		t.Errorf("it holds %s", got)
	}
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", m.Pid)); err != nil || !strings.HasPrefix(exe, "/memfd:stack-init") {
		t.Errorf("it runs %q, %v", exe, err)
	}
}

// Raised limits and a lowered OOM score are had, or warned of.
func TestHostPrivileges(t *testing.T) {
	spec, score := runtimetest.Spec(runtimetest.Busybox(t), "cat"), -500
	var own unix.Rlimit
	check(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &own))
	spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: own.Max + 1, Hard: own.Max + 1}}
	spec.Process.OOMScoreAdj = &score
	r, w, err := os.Pipe()
	check(t, err)
	defer w.Close()
	m := create(t, spec, func(b *runtime.Bundle) { b.Stdin = r })
	r.Close()
	check(t, m.Start(context.Background(), m.id))
	warned := strings.Join(m.Warnings, "\n")
	want := fmt.Sprintf("%d %d files", own.Max+1, own.Max+1)
	if strings.Contains(warned, "RLIMIT_NOFILE") {
		want = fmt.Sprintf("%d %d files", own.Max, own.Max)
	}
	if got := strings.Join(strings.Fields(procFile(t, m.Pid, "limits")), " "); !strings.Contains(got, "Max open files "+want) {
		t.Errorf("limits are %s, want %s (warnings %q)", got, want, warned)
	}
	got := strings.TrimSpace(procFile(t, m.Pid, "oom_score_adj"))
	if (got == "-500") == strings.Contains(warned, "OOM score") {
		t.Errorf("score %s, warnings %q", got, warned)
	}
}

// TestCloneIntoCgroup takes the way of cgroup v2: the first process is cloned
// into its group, and a process executed later, too. A hybrid machine's unified
// tree serves for that.
func TestCloneIntoCgroup(t *testing.T) {
	needRoot(t)
	ctx, r, id := context.Background(), newRuntime(t), testID(t)
	spec := runtimetest.Spec(runtimetest.Busybox(t), "cat")
	spec.Linux.CgroupsPath = "/stack/conformance/" + id
	in, out, err := os.Pipe()
	check(t, err)
	defer out.Close()
	h, err := r.claim(ctx, id)
	check(t, err)
	c := &creating{Bundle: &runtime.Bundle{ID: id, Spec: spec, Stdin: in}, runtime: r, home: h}
	check(t, c.prepare(ctx))
	check(t, c.intend(ctx))
	c.group, err = cgroup.CreateDetached(spec.Linux.CgroupsPath)
	check(t, err)
	dir, err := c.group.Dir()
	check(t, err)
	if dir == nil {
		check(t, c.undo())
		runtimetest.Skip(t, "this machine has no cgroup v2 tree")
	}
	dir.Close()
	for _, step := range []func(context.Context) error{c.fork, c.build, c.settle, c.release} {
		if err := step(ctx); err != nil {
			t.Fatal(errors.Join(err, c.undo()))
		}
	}
	pid := c.child.pid
	c.close()
	h.Close()
	in.Close()
	inGroup := func(pid int) {
		t.Helper()
		if text := procFile(t, pid, "cgroup"); !strings.Contains(text, "0::"+spec.Linux.CgroupsPath+"\n") {
			t.Errorf("process %d is in %s", pid, text)
		}
	}
	inGroup(pid)
	check(t, r.Start(ctx, id))
	p, err := r.Exec(ctx, id, runtime.Exec{Process: runtimetest.Spec("", "sleep", "1000").Process})
	check(t, err)
	inGroup(p.Pid)
	p.PidFD.Close()
	check(t, r.Delete(ctx, id, true))
	for _, one := range []int{p.Pid, pid} { // the first cannot end before the other
		unix.Wait4(one, nil, 0, nil)
	}
	nothingLeft(t, id)
}

// The creator keeps nothing of a container: no descriptor, no thread, no child.
func TestNoLeaks(t *testing.T) {
	needRoot(t)
	ctx, r, rootfs := context.Background(), newRuntime(t), runtimetest.Busybox(t)
	round := func(i int) {
		id := fmt.Sprintf("%s-%d", testID(t), i)
		spec := runtimetest.Spec(rootfs, "cat")
		spec.Linux.CgroupsPath = "/stack/conformance/" + id
		spec.Process.Terminal = i%2 == 0
		in, keep, err := os.Pipe()
		check(t, err)
		defer keep.Close()
		c, err := r.Create(ctx, runtime.Bundle{ID: id, Spec: spec, Stdin: in})
		in.Close()
		check(t, err)
		if c.Console != nil {
			defer c.Console.Close()
		}
		check(t, r.Start(ctx, id))
		if p, err := r.Exec(ctx, id, runtime.Exec{Process: runtimetest.Spec("", "nothing").Process}); err == nil {
			t.Error(p)
		}
		check(t, r.Delete(ctx, id, true))
		unix.Wait4(c.Pid, nil, 0, nil)
		c.PidFD.Close()
		bad := runtimetest.Spec(rootfs, "cat")
		bad.Linux.CgroupsPath = spec.Linux.CgroupsPath
		bad.Mounts = append(bad.Mounts, specs.Mount{Destination: "/x", Type: "bind", Source: "/nothing"})
		if _, err := r.Create(ctx, runtime.Bundle{ID: id, Spec: bad}); err == nil {
			t.Error("created with a missing source")
		}
		nothingLeft(t, id)
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		check(t, err)
		return len(entries)
	}
	round(0)
	before := count()
	for i := range 6 {
		round(1 + i)
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors were open, now %d", before, after)
	}
	if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		t.Errorf("a child is left: %v", err)
	}
}

// Standard output that is a file stays its owner's; a pipe becomes the user's.
func TestPipeOwner(t *testing.T) {
	spec := runtimetest.Spec(runtimetest.Busybox(t), "echo", "x")
	spec.Process.User.UID = 7
	r, w, err := os.Pipe()
	check(t, err)
	file, err := os.Create(t.TempDir() + "/file")
	check(t, err)
	defer file.Close()
	m := create(t, spec, func(b *runtime.Bundle) { b.Stdout, b.Stderr = w, file })
	uid := func(f *os.File) uint32 {
		var st unix.Stat_t
		check(t, unix.Fstat(int(f.Fd()), &st))
		return st.Uid
	}
	if p, f := uid(w), uid(file); p != runtimetest.FirstID+7 || f != 0 {
		t.Errorf("the pipe is %d's, the file %d's", p, f)
	}
	w.Close()
	check(t, m.Start(context.Background(), m.id))
	if text, err := io.ReadAll(r); err != nil || string(text) != "x\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

// Replicas that start together share the mounts of their layers: each of its own
// would cost them a millisecond.
func TestLayersAreShared(t *testing.T) {
	layer := runtimetest.Busybox(t)
	dir := t.TempDir()
	spec := runtimetest.Spec("", "true")
	spec.Root = &specs.Root{}
	m := create(t, spec, func(b *runtime.Bundle) {
		b.Root = runtime.RootFS{Lowers: []string{layer}, Upper: dir + "/upper", Work: dir + "/work"}
	})
	if n := m.lowers.Kept(); n != 1 {
		t.Errorf("%d layers are kept for the next container, want 1", n)
	}
}

// A start that succeeds costs no reading of the record.
func TestStartNeedsNoRecord(t *testing.T) {
	m := create(t, runtimetest.Spec(runtimetest.Busybox(t), "sleep", "1000"))
	record := m.root.Path(m.id) + "/" + recordName
	check(t, os.Rename(record, record+".away"))
	check(t, m.Start(context.Background(), m.id))
	check(t, os.Rename(record+".away", record))
}

func TestFiltersAreShared(t *testing.T) {
	profile := func(action specs.LinuxSeccompAction) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"reboot"}, Action: action}}}
	}
	var c filterCache
	compile := func(p *specs.LinuxSeccomp) *filter {
		f, err := c.compile(p)
		check(t, err)
		return f
	}
	one := profile(specs.ActErrno)
	f := compile(one)
	if compile(one) != f || compile(profile(specs.ActErrno)) != f {
		t.Error("one profile is compiled twice")
	}
	if n := testing.AllocsPerRun(10, func() { c.given(one) }); n > 0 {
		t.Errorf("%v allocations to find the filter of the same profile", n)
	}
	if killing := compile(profile(specs.ActKillProcess)); string(killing.Program) == string(f.Program) {
		t.Error("another profile gets the same filter")
	}
	if compile(one); string(compile(one).Program) != string(f.Program) {
		t.Error("the first profile gets the second's filter")
	}
}
