package oci

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime/runtimetest"
)

// hook appends its name, namespace and state's status to a file.
func hook(file, name string) specs.Hook {
	return specs.Hook{
		Path: "/bin/sh",
		Args: []string{"sh", "-c", fmt.Sprintf(`read -r state; status=${state##*'"status":"'}; echo %s ${status%%%%'"'*} $(cat /proc/sys/kernel/hostname) $A >>%s`, name, file)},
		Env:  []string{"PATH=/bin:/usr/bin", "A=b"},
	}
}

// Hooks run in the specification's order and namespaces, with the state.
func TestHooks(t *testing.T) {
	m := newMachine(t)
	log := filepath.Join(t.TempDir(), "hooks")
	host, err := os.Hostname()
	check(t, err)
	for name, user := range map[string]func(*specs.Spec){"host": func(*specs.Spec) {}, "userns": withUser} {
		os.Remove(log)
		check(t, os.WriteFile(log, nil, 0o666))
		check(t, os.Chmod(log, 0o666))
		bundle := m.bundle("echo program >>/log", user, func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{
				//lint:ignore SA1019 Docker uses it
				Prestart:        []specs.Hook{hook(log, "prestart")},
				CreateRuntime:   []specs.Hook{hook(log, "createRuntime")},
				CreateContainer: []specs.Hook{hook(log, "createContainer")},
				StartContainer:  []specs.Hook{hook("/log", "startContainer")},
				Poststart:       []specs.Hook{hook(log, "poststart")},
				Poststop:        []specs.Hook{hook(log, "poststop")},
			}
			s.Root.Readonly = false
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/log", Source: log, Options: []string{"bind"}})
		})
		id, _ := m.create(bundle)
		m.must("start", id)
		m.await(id, "stopped")
		m.must("delete", id)
		text, err := os.ReadFile(log)
		check(t, err)
		want := fmt.Sprintf("prestart creating %[1]s b\ncreateRuntime creating %[1]s b\ncreateContainer creating %[2]s b\n", host, "NAME") +
			"startContainer created box b\n" + "poststop stopped " + host + " b\n"
		got := strings.Replace(string(text), "poststart running "+host+" b\n", "", 1) // beside the program
		got = strings.Replace(got, "program\n", "", 1)
		// The container's host name is set after createContainer: it is the old one still.
		want = strings.Replace(want, "NAME", host, 1)
		if got != want || len(got) == len(text) {
			t.Errorf("%s:\n%s\nwant\n%s", name, text, want)
		}
	}
}

func withUser(s *specs.Spec) {
	with := runtimetest.Spec(s.Root.Path)
	s.Linux.Namespaces = with.Linux.Namespaces
	s.Linux.UIDMappings, s.Linux.GIDMappings = with.Linux.UIDMappings, with.Linux.GIDMappings
}

// A hook that fails, or takes too long, ends what it belongs to, and nothing is left.
func TestHookFailures(t *testing.T) {
	m := newMachine(t)
	one := 1
	bad := []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo because; exit 3"}}}
	slow := []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "100"}, Timeout: &one}}
	for name, c := range map[string]struct {
		hooks specs.Hooks
		want  string
	}{
		//lint:ignore SA1019 Docker uses it
		"prestart":        {specs.Hooks{Prestart: bad}, "because"},
		"createRuntime":   {specs.Hooks{CreateRuntime: bad}, "because"},
		"createContainer": {specs.Hooks{CreateContainer: bad}, "because"},
		"startContainer":  {specs.Hooks{StartContainer: bad}, "startContainer"},
		"poststart":       {specs.Hooks{Poststart: bad}, "because"},
		"missing":         {specs.Hooks{CreateContainer: []specs.Hook{{Path: "/nothing"}}}, "no such file"},
		"timeout":         {specs.Hooks{CreateRuntime: slow}, "deadline exceeded"},
		"timeout inside":  {specs.Hooks{StartContainer: slow}, "startContainer"},
	} {
		after := filepath.Join(t.TempDir(), "after")
		c.hooks.Poststop = []specs.Hook{{Path: "/usr/bin/touch", Args: []string{"touch", after}}}
		bundle := m.bundle("sleep 100", func(s *specs.Spec) { s.Hooks = &c.hooks })
		begun := time.Now()
		if out, code := m.do("run", "-d", "-b", bundle, newID()); code != 1 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
		if time.Since(begun) > 20*time.Second {
			t.Errorf("%s: took %v", name, time.Since(begun))
		}
		if _, err := os.Stat(after); err != nil {
			t.Errorf("%s: poststop hooks did not run: %v", name, err)
		}
		if left := m.must("list", "-q"); left != "" {
			t.Errorf("%s: left %s", name, left)
		}
		reapAll()
	}
}

func TestPreservedDescriptors(t *testing.T) {
	m := newMachine(t)
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	cmd := m.command("run", "--preserve-fds", "1", "-b", m.bundle("echo given >&3; ls /proc/self/fd | tr '\\n' ' ' >&3"), newID())
	cmd.ExtraFiles = []*os.File{w}
	out, err := cmd.CombinedOutput()
	w.Close()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	buf := make([]byte, 100)
	n, _ := r.Read(buf)
	more, _ := r.Read(buf[n:])
	if got := string(buf[:n+more]); got != "given\n0 1 2 3 4 " { // 4 is ls's own
		t.Errorf("got %q", got)
	}
}

// The master of a terminal goes to the console socket, with its name.
func TestConsoleSocket(t *testing.T) {
	m := newMachine(t)
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	check(t, err)
	defer l.Close()
	received := make(chan *os.File, 2)
	go func() {
		for range 2 {
			f, err := receive(l)
			if err != nil {
				t.Error(err)
			}
			received <- f
		}
	}()
	terminal := func(s *specs.Spec) { s.Process.Terminal = true }
	id, _ := m.create(m.bundle("tty; read x; echo got $x; sleep 100", terminal), "--console-socket", path)
	master := <-received
	defer master.Close()
	m.must("start", id)
	check(t, talk(master, "/dev/", "word\n", "got word"))
	m.must("exec", "-d", "-t", "--console-socket", path, id, "sh", "-c", "tty; read x; echo again $x")
	second := <-received
	defer second.Close()
	check(t, talk(second, "/dev/pts/", "word\n", "again word"))
}

func receive(l *net.UnixListener) (*os.File, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	buf, oob := make([]byte, 100), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 || n == 0 {
		return nil, fmt.Errorf("%d messages, name %q, %v", len(messages), buf[:n], err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("descriptors %v, %v", fds, err)
	}
	return os.NewFile(uintptr(fds[0]), string(buf[:n])), nil
}

// talk reads up to one text, writes, and reads up to another.
func talk(f *os.File, first, say, then string) error {
	for _, want := range []string{first, then} {
		var text strings.Builder
		buf := make([]byte, 100)
		for !strings.Contains(text.String(), want) {
			n, err := f.Read(buf)
			if errors.Is(err, unix.EAGAIN) {
				unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, 10_000)
				continue
			}
			if err != nil {
				return fmt.Errorf("%q, then %w", text.String(), err)
			}
			text.Write(buf[:n])
		}
		if want == first {
			f.WriteString(say)
		}
	}
	return nil
}

// The kernel shows what the specification asks for.
func TestTuning(t *testing.T) {
	m := newMachine(t)
	offset := map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1_000_000}}
	for name, c := range map[string]struct {
		script, want string
		change       func(*specs.Spec)
	}{
		"personality": {"uname -m", map[bool]string{true: "i686", false: "arm"}[runtimeIsAMD64], func(s *specs.Spec) {
			s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		}},
		"scheduler": {"cut -d' ' -f19,41 /proc/$$/stat", "3 3", func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}
		}},
		"io priority": {"ionice -p $$", "best-effort: prio 2", func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 2}
		}},
		"memory policy": {"cat /proc/self/numa_maps | head -1", "bind:0", func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}
		}},
		"time": {"cut -c1-1 /proc/uptime; [ $(cut -d. -f1 /proc/uptime) -gt 1000000 ] && echo shifted", "shifted", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = offset
		}},
	} {
		if out, code := m.do("run", "-b", m.bundle(c.script, c.change), newID()); code != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	id, _ := m.create(m.bundle(waiting, func(s *specs.Spec) {
		s.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "0"}
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = offset
	}))
	m.must("start", id)
	if out := m.must("exec", id, "sh", "-c", "grep Cpus_allowed_list /proc/self/status; cut -d. -f1 /proc/uptime"); !strings.Contains(out, ":\t0\n1") {
		t.Errorf("exec: %s", out)
	}
}

func TestNoPivot(t *testing.T) {
	m := newMachine(t)
	if out, code := m.do("run", "--no-pivot", "--no-new-keyring", "-b", m.bundle("ls /; hostname"), newID()); code != 0 || !strings.Contains(out, "bin") || strings.Contains(out, "boot") || !strings.Contains(out, "box") {
		t.Errorf("exit %d: %s", code, out)
	}
}
