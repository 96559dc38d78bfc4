package shim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func nonblocking(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

// Many callers at once, in this process and others, get one shim.
func TestConcurrentEnsure(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := &stack{t: t, ctx: ctx, dir: tempDir(t)}
	pids := make([]string, 12)
	var all sync.WaitGroup
	for i := range pids {
		all.Go(func() {
			if i%2 == 0 {
				out, err := exec.CommandContext(ctx, "/proc/self/exe", "ensure", s.dir).Output()
				pids[i] = strings.TrimSpace(string(out))
				if err != nil {
					t.Error(err)
				}
				return
			}
			c, err := Ensure(ctx, startOptions(s.dir))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			h, err := c.Hello(ctx)
			pids[i] = fmt.Sprint(h.Pid)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.connect()
	defer s.end()
	if slices.Sort(pids); pids[0] != pids[len(pids)-1] || pids[0] != fmt.Sprint(s.pid) {
		t.Fatal("several shims:", pids, s.pid)
	}
}

// An up right after a down waits for the old shim's end and starts another.
func TestEnsureWhileStopping(t *testing.T) {
	s := newStack(t)
	s.run("a", "sleep 0.1")
	first := s.pid
	s.order(order{Do: "stop"})
	s.connect()
	if s.pid == first {
		t.Fatal("connected to a stopping shim")
	}
	if rec := s.exit("a"); rec.Code != 0 {
		t.Fatal(rec)
	}
}

func TestOlderShimIsNamed(t *testing.T) {
	dir := tempDir(t)
	fd, err := listenUnix(dir, "shim.sock", unix.SOCK_SEQPACKET)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	go func() {
		n, _, err := unix.Accept(fd)
		if err != nil {
			return
		}
		c, err := newPacketConn(n)
		if err != nil {
			return
		}
		defer c.Close()
		var r Request
		_, _ = c.receive(&r)
		_ = c.send(Response{Version: 99, Pid: 4711}, nil)
	}()
	_, err = Ensure(t.Context(), startOptions(dir))
	var v *VersionError
	if !errors.As(err, &v) || v.Have != 99 || v.Pid != 4711 || !strings.Contains(err.Error(), "take the stack down") {
		t.Fatal(err)
	}
}

func TestStartFailuresAreTold(t *testing.T) {
	dir := tempDir(t)
	o := startOptions(dir)
	o.Controller = nil
	if _, err := Ensure(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no controller") {
		t.Fatal(err)
	}
	o = startOptions(dir)
	o.Shim = []string{"/nonexistent/stack-shim"}
	if _, err := Ensure(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	o.Shim = []string{"/bin/true"}
	if _, err := Ensure(t.Context(), o); err == nil || !strings.Contains(err.Error(), "shim.log") {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(t.Context(), o); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Fatal(err)
	}
}

func TestCommandIsParsedBack(t *testing.T) {
	o := StartOptions{Dir: "/run/a b", Shim: []string{"x"}, Controller: []string{"/c", "--project", "p"}, Cgroup: "g"}
	argv, err := Command(o)
	if err != nil || argv[0] != "x" || argv[1] != "run" {
		t.Fatal(argv, err)
	}
	argv = slices.DeleteFunc(argv, func(s string) bool { return s == "--ready" || s == "3" })
	got, err := ParseArgs(argv[2:])
	if err != nil || got.Dir != o.Dir || got.Cgroup != o.Cgroup || !slices.Equal(got.Controller, o.Controller) {
		t.Fatalf("%+v, %v", got, err)
	}
}

// The shim outlives the caller's session, terminal, descriptors and signals.
func TestDetached(t *testing.T) {
	s := newStack(t)
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT} {
		if err := unix.Kill(s.pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	if sid, err := unix.Getsid(s.pid); err != nil || sid != s.pid {
		t.Error("not its own session:", sid, err)
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", s.pid)); err != nil || cwd != "/" {
		t.Error("working directory:", cwd, err)
	}
	want := []string{"/dev/null", s.dir + "/shim.log", s.dir + "/shim.log"}
	for _, pid := range []int{s.pid, s.order(order{Do: "state"}).Pid} {
		for i, w := range want {
			if l, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, i)); err != nil || l != w {
				t.Errorf("descriptor %d of %d is %q, %v", i, pid, l, err)
			}
		}
	}
	for name, mode := range map[string]os.FileMode{"shim.sock": 0o600, "api.sock": 0o600, "shim.log": 0o600, "shim.json": 0o600} {
		st, err := os.Stat(s.dir + "/" + name)
		if err != nil || st.Mode().Perm() != mode {
			t.Error(name, st.Mode(), err)
		}
	}
	s.run("a", "grep SigIgn /proc/self/status; umask")
	s.exit("a")
	s.awaitText("a", "0022\n") // the record does not wait for the log
	// Signals from 32 on are the C library's: whoever started the tests may have
	// them ignored, and no Go program can change that.
	if got := s.text("a", "stdout"); !regexp.MustCompile(`^SigIgn:\t[0-9a-f]{8}[08]0000000\n0022\n$`).MatchString(got) {
		t.Errorf("a container inherits %q", got)
	}
}

// Another user is not served, even where the directory would let him in.
func TestOnlyOwnUser(t *testing.T) {
	needRoot(t, "to become another user")
	s := newStack(t)
	for path, mode := range map[string]os.FileMode{s.dir: 0o755, s.dir + "/shim.sock": 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	// The test binary must be reachable for that user too.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(s.dir, "containers")
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(uid uint32) error {
		cmd := exec.CommandContext(s.ctx, exe, "hello", s.dir)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	if err := run(0); err != nil {
		t.Fatal(err)
	}
	if err := run(65534); err == nil || !strings.Contains(err.Error(), "shim is gone") {
		t.Fatal("another user was served:", err)
	}
}

func TestLongDirectory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dir := filepath.Join(tempDir(t), strings.Repeat("long", 40))
	c, err := Ensure(ctx, startOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wake, err := c.Wake(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Hello(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Its controller serves on a path too long for this test to dial; without
	// orders it lives on, so it is killed once the shim no longer restarts it.
	if err := c.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", h.Pid, h.Pid))
	for _, f := range strings.Fields(string(children)) {
		var pid int
		fmt.Sscan(f, &pid)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	s := &stack{t: t, ctx: ctx, dir: dir}
	for _, pid := range s.alive() {
		if pid != h.Pid {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	for range wake { // until the shim is gone
	}
	if err != nil {
		t.Log("children are not listed here:", err)
	}
}

// The shim has cgroups of its own, which go with it.
func TestOwnCgroup(t *testing.T) {
	needRoot(t, "to make cgroups")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := &stack{t: t, ctx: ctx, dir: tempDir(t)}
	o := startOptions(s.dir)
	o.Cgroup = fmt.Sprintf("stack-shimtest%d/project/shim", os.Getpid())
	begun := time.Now()
	c, err := Ensure(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("started in %v", time.Since(begun))
	defer c.Close()
	h, err := c.Hello(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", h.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !strings.HasSuffix(strings.TrimSpace(line), ":/"+o.Cgroup) {
			t.Errorf("still in %s", line)
		}
	}
	s.pid = h.Pid
	s.order(order{Do: "state"})
	begun = time.Now()
	s.end()
	t.Logf("ended in %v", time.Since(begun))
	for _, h := range hierarchies() {
		top := filepath.Join(h.mount, filepath.Dir(filepath.Dir(o.Cgroup)))
		if _, err := os.Stat(top); err == nil {
			t.Errorf("left behind: %s", top)
		}
	}
	own, _ := os.ReadFile("/proc/thread-self/cgroup")
	if strings.Contains(string(own), o.Cgroup) {
		t.Error("the caller moved too")
	}
}
