package runtimetest

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func (s *suite) isolation(t *testing.T) {
	s.check(t, "namespaces", s.ownNamespaces)
	s.check(t, "first process", s.firstProcess)
	s.check(t, "capabilities", s.capabilities)
	s.check(t, "capabilities of a user", s.userCapabilities)
	s.check(t, "without a user namespace", s.hostUser)
	s.check(t, "no_new_privs", s.noNewPrivs)
	s.check(t, "seccomp", s.seccomp)
	s.check(t, "root file system", s.rootFS)
	s.check(t, "keyring", s.keyring)
}

func nsLinks(t testing.TB, pid string) map[string]string {
	t.Helper()
	links := map[string]string{}
	for _, name := range []string{"user", "pid", "net", "ipc", "uts", "mnt", "cgroup"} {
		link, err := os.Readlink("/proc/" + pid + "/ns/" + name)
		must(t, err)
		links[name] = link
	}
	return links
}

func (s *suite) ownNamespaces(t *testing.T) {
	one := nsLinks(t, fmt.Sprint(s.waiting(t).created.Pid))
	two := nsLinks(t, fmt.Sprint(s.waiting(t).created.Pid))
	for name, host := range nsLinks(t, "self") {
		if one[name] == host || two[name] == host || one[name] == two[name] {
			t.Errorf("%s: host %s, containers %s and %s", name, host, one[name], two[name])
		}
	}
}

// The user's program is pid 1, leads its session, and no program of the host is
// to be seen.
func (s *suite) firstProcess(t *testing.T) {
	out, _ := s.run(t, s.shell("echo $$; cut -d' ' -f4-6 /proc/1/stat; readlink /proc/1/exe; set -- /proc/[0-9]*; echo $#"))
	expect(t, "output", out, "1\n0 1 1\n/bin/busybox\n1")
}

// status returns fields of /proc/self/status.
func (s *suite) status(t *testing.T, change func(*specs.Spec), fields ...string) string {
	t.Helper()
	spec := Spec(s.rootfs, "cat", "/proc/self/status")
	change(spec)
	out, code := s.run(t, spec)
	if code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	var values []string
	for _, name := range fields {
		for line := range strings.Lines(out) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				values = append(values, strings.Join(strings.Fields(value), ","))
			}
		}
	}
	return strings.Join(values, " ")
}

func (s *suite) capabilities(t *testing.T) {
	got := s.status(t, func(*specs.Spec) {}, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
	none := "0000000000000000"
	expect(t, "sets", got, strings.Join([]string{none, defaultMask, defaultMask, defaultMask, none}, " "))
	got = s.status(t, func(c *specs.Spec) { c.Process.Capabilities = &specs.LinuxCapabilities{} },
		"CapPrm", "CapEff", "CapBnd")
	expect(t, "without any", got, strings.Join([]string{none, none, none}, " "))
}

func (s *suite) userCapabilities(t *testing.T) {
	user := func(c *specs.Spec) { c.Process.User = specs.User{UID: 1000, GID: 1000} }
	none := "0000000000000000"
	got := s.status(t, user, "CapPrm", "CapEff", "CapBnd", "CapAmb", "Groups")
	expect(t, "sets", got, strings.Join([]string{none, none, defaultMask, none, ""}, " "))
	got = s.status(t, func(c *specs.Spec) {
		user(c)
		bind := []string{"CAP_NET_BIND_SERVICE"}
		c.Process.Capabilities.Inheritable, c.Process.Capabilities.Ambient = bind, bind
	}, "CapPrm", "CapEff", "CapAmb")
	expect(t, "ambient", got, "0000000000000400 0000000000000400 0000000000000400")
}

func (s *suite) hostUser(t *testing.T) {
	got := s.status(t, HostUser, "CapPrm", "CapEff", "CapBnd", "Uid")
	expect(t, "sets", got, strings.Join([]string{defaultMask, defaultMask, defaultMask, "0,0,0,0"}, " "))
	link, err := os.Readlink("/proc/self/ns/user")
	must(t, err)
	spec := Spec(s.rootfs, "readlink", "/proc/self/ns/user")
	HostUser(spec)
	out, _ := s.run(t, spec)
	expect(t, "user namespace", out, link)
}

func (s *suite) noNewPrivs(t *testing.T) {
	expect(t, "default", s.status(t, func(*specs.Spec) {}, "NoNewPrivs"), "0")
	expect(t, "asked", s.status(t, func(c *specs.Spec) { c.Process.NoNewPrivileges = true }, "NoNewPrivs"), "1")
}

// filter refuses to make directories, with an errno nothing else gives.
func filter() *specs.LinuxSeccomp {
	const enoano = 55
	errno := uint(enoano)
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: &errno}},
	}
}

func (s *suite) seccomp(t *testing.T) {
	for _, strict := range []bool{false, true} {
		spec := s.shell("mkdir /tmp/x; grep -E '^Seccomp:|^NoNewPrivs' /proc/self/status")
		spec.Linux.Seccomp, spec.Process.NoNewPrivileges = filter(), strict
		spec.Process.User = specs.User{UID: 1000, GID: 1000}
		out, _ := s.run(t, spec)
		if !strings.Contains(out, "No anode") || !strings.Contains(out, "Seccomp:\t2") {
			t.Errorf("no_new_privs %v: got %q", strict, out)
		}
	}
}

func (s *suite) rootFS(t *testing.T) {
	out, _ := s.run(t, s.shell("touch /x; cat /proc/cpuinfo | wc -c; echo x >/proc/sys/kernel/hostname; ls -d /work /root /usr/lib"))
	for _, want := range []string{"touch: /x: Read-only", "0\n", "hostname: Read-only", "/usr/lib: No such file"} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q in it", out, want)
		}
	}
}

// The creator's keys are not the container's.
func (s *suite) keyring(t *testing.T) {
	goruntime.LockOSThread() // session keyrings are the threads'
	defer goruntime.UnlockOSThread()
	name := "stack-" + newID()[:16]
	ring := unix.KEY_SPEC_USER_SESSION_KEYRING
	if link, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == nil && link != 0 {
		ring = unix.KEY_SPEC_SESSION_KEYRING // else threads possess the user's
	}
	key, err := unix.AddKey("user", name, []byte("secret"), ring)
	if errors.Is(err, unix.ENOSYS) {
		t.Skip("this kernel has no keyrings")
	}
	must(t, err)
	defer unix.KeyctlInt(unix.KEYCTL_UNLINK, key, ring, 0, 0)
	must(t, unix.KeyctlSetperm(key, 0x3f000000)) // to those who possess it only
	own, err := os.ReadFile("/proc/keys")
	must(t, err)
	if !strings.Contains(string(own), name) {
		t.Fatalf("the key is not to be seen: %s", own)
	}
	spec := s.shell("cat /proc/keys")
	HostUser(spec)
	spec.Linux.MaskedPaths = nil
	b := s.create(t, spec).start()
	b.wait()
	out, _ := s.execOutput(t, s.waiting(t, HostUser, func(c *specs.Spec) { c.Linux.MaskedPaths = nil }), "cat", "/proc/keys")
	if text := b.output() + out; strings.Contains(text, name) || !strings.Contains(text, "keyring") {
		t.Errorf("a key of the creator is visible: %q", text)
	}
}
