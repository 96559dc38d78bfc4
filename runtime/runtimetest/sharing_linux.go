package runtimetest

import (
	"fmt"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// sharing tests containers that join namespaces of another.
func (s *suite) sharing(t *testing.T) {
	s.check(t, "with the user namespace", s.shareWithUser)
	s.check(t, "without user namespaces", s.shareWithoutUser)
	s.check(t, "pid namespace", s.sharePid)
	s.check(t, "host namespaces", s.shareHost)
	s.check(t, "wrong path", s.shareWrong)
}

func joinOf(s *specs.Spec, pid int, kinds map[specs.LinuxNamespaceType]string) {
	for kind, name := range kinds {
		Join(s, kind, fmt.Sprintf("/proc/%d/ns/%s", pid, name))
	}
}

// A service with network_mode: service:x owns nothing of the network but can use
// it as its owner can: the user namespace is shared, too.
func (s *suite) shareWithUser(t *testing.T) {
	owner := s.waiting(t)
	spec := s.shell("echo 1 >/proc/self/oom_score_adj; id -u; hostname; mount | grep -c ' /sys '; cat >/dev/null")
	joinOf(spec, owner.created.Pid, map[specs.LinuxNamespaceType]string{
		specs.UserNamespace: "user", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc",
	})
	spec.Linux.UIDMappings, spec.Linux.GIDMappings = nil, nil
	spec.Hostname = "guest"
	guest := s.create(t, spec).start()
	theirs, ours := nsLinks(t, fmt.Sprint(owner.created.Pid)), nsLinks(t, fmt.Sprint(guest.created.Pid))
	for _, name := range []string{"user", "net", "ipc"} {
		expect(t, name, ours[name], theirs[name])
	}
	for _, name := range []string{"pid", "mnt", "uts", "cgroup"} {
		if ours[name] == theirs[name] {
			t.Errorf("%s is shared", name)
		}
	}
	out, code := s.execOutput(t, guest, "sh", "-c", "hostname; id -u")
	expect(t, "exec", out, "guest\n0")
	expect(t, "exec code", code, 0)
	guest.in.Close()
	guest.wait()
	expect(t, "output", guest.output(), "0\nguest\n1")
}

func (s *suite) shareWithoutUser(t *testing.T) {
	owner := s.waiting(t, HostUser)
	spec := s.shell("hostname")
	HostUser(spec)
	spec.Hostname = ""
	joinOf(spec, owner.created.Pid, map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: "net", specs.UTSNamespace: "uts", specs.IPCNamespace: "ipc",
	})
	out, _ := s.run(t, spec)
	expect(t, "host name", out, "box")
}

func (s *suite) sharePid(t *testing.T) {
	for name, change := range map[string]func(*specs.Spec){"user": func(*specs.Spec) {}, "host user": HostUser} {
		owner := s.waiting(t, change)
		spec := s.shell("[ $$ != 1 ] && [ $(cat /proc/1/comm) = cat ] && ps | grep -c 'cat$'")
		change(spec)
		kinds := map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid"}
		if name == "user" {
			kinds[specs.UserNamespace] = "user"
		}
		joinOf(spec, owner.created.Pid, kinds)
		out, code := s.run(t, spec)
		expect(t, name, out, "1")
		expect(t, name+" code", code, 0)
		expect(t, name+" owner", owner.state(), "running")
	}
}

func (s *suite) shareHost(t *testing.T) {
	spec := s.shell("readlink /proc/self/ns/net; readlink /proc/self/ns/pid")
	HostUser(spec)
	for _, kind := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace} {
		Without(spec, kind)
	}
	spec.Hostname = ""
	out, _ := s.run(t, spec)
	host := nsLinks(t, "self")
	expect(t, "namespaces", out, host["net"]+"\n"+host["pid"])

	spec = s.shell("exit 0")
	Without(spec, specs.UTSNamespace)
	if _, err := s.tryCreate(t, spec); err == nil {
		t.Error("renamed the host")
	}
}

func (s *suite) shareWrong(t *testing.T) {
	for _, path := range []string{"/proc/self/ns/uts", "/etc/passwd", "/nothing"} {
		spec := s.shell("exit 0")
		Join(spec, specs.NetworkNamespace, path)
		if _, err := s.tryCreate(t, spec); err == nil {
			t.Errorf("joined network namespace %q", path)
		}
	}
}
