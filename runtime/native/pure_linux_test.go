package native

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stack/runtime"
	"stack/runtime/native/stub"
	"stack/runtime/runtimetest"
)

func TestSysctlFile(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":          "net/ipv4/ip_forward",
		"net/ipv4/ip_forward":          "net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/1.forward": "net/ipv4/conf/eth0.1/forward",
		"net/ipv4/conf/eth0.1/forward": "net/ipv4/conf/eth0.1/forward",
		"net..x":                       "", "net/../x": "", "": "", "net.": "", "net.//.x": "",
	} {
		if got, err := sysctlFile(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", name, got, err)
		}
	}
}

func TestSysctlsNeedTheirNamespace(t *testing.T) {
	for name, flag := range map[string]uintptr{
		"net.core.somaxconn": unix.CLONE_NEWNET, "kernel.shmmax": unix.CLONE_NEWIPC, "fs.mqueue.msg_max": unix.CLONE_NEWIPC,
		"kernel.domainname": unix.CLONE_NEWUTS,
	} {
		set := map[string]string{name: "1"}
		if _, err := newSysctls(set, flag); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := newSysctls(set, ^flag); err == nil {
			t.Errorf("%s was accepted without its namespace", name)
		}
	}
}

// On kernels that hide a setting from user namespaces the message says so, and only
// then: a setting that nobody has stays plainly missing.
func TestHiddenSysctlIsExplained(t *testing.T) {
	all, err := newSysctls(map[string]string{"net.core.somaxconn": "1", "kernel.sem": "1"}, ^uintptr(0))
	check(t, err)
	for _, c := range []struct {
		file    string
		err     error
		userNS  bool
		onHost  bool
		explain bool
	}{
		{"net/core/somaxconn", unix.ENOENT, true, true, true},
		{"net/core/somaxconn", unix.ENOENT, true, false, false},
		{"net/core/somaxconn", unix.ENOENT, false, true, false},
		{"net/core/somaxconn", unix.EINVAL, true, true, false},
		{"kernel/sem", unix.ENOENT, true, true, false},
	} {
		i := slices.IndexFunc(all, func(s sysctl) bool { return s.file == c.file })
		failed := &runtime.StepError{Step: all[i].step(), Err: c.err}
		got := explainSysctl(failed, all, c.userNS, func(file string) bool { return file == c.file && c.onHost })
		if strings.Contains(got.Error(), "userns_mode: host") != c.explain || !errors.Is(got, failed) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSearchPath(t *testing.T) {
	if got := searchPath([]string{"A=1", "PATH=/x", "PATH=/y"}); got != "/x" {
		t.Errorf("got %q", got)
	}
	if got := searchPath([]string{"XPATH=/x"}); got != defaultPath {
		t.Errorf("got %q", got)
	}
}

func TestHostID(t *testing.T) {
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}, {ContainerID: 50, HostID: 7, Size: 1}}
	for id, want := range map[uint32]uint32{0: 1000, 9: 1009, 10: 10, 50: 7} {
		if got := runtime.HostID(id, maps); got != want {
			t.Errorf("%d: got %d, want %d", id, got, want)
		}
	}
	back, err := parseMap(string(formatMap(maps)))
	if err != nil || !slices.Equal(back, maps) {
		t.Errorf("got %v, %v", back, err)
	}
}

func TestCapabilitiesThatAreMissing(t *testing.T) {
	asked := &specs.LinuxCapabilities{
		Bounding: []string{"CAP_CHOWN", "CAP_KILL", "CAP_NONSENSE"}, Effective: []string{"CAP_KILL"},
	}
	c, warnings, err := newCapabilities(asked, 1<<unix.CAP_CHOWN)
	if err != nil || c.bounding != 1<<unix.CAP_CHOWN || c.effective != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
	if text := strings.Join(warnings, "\n"); len(warnings) != 2 || !strings.Contains(text, "CAP_KILL") || !strings.Contains(text, "CAP_NONSENSE") {
		t.Errorf("warnings: %q", warnings)
	}
}

// What is not supported is refused, never ignored.
func TestValidate(t *testing.T) {
	for what, change := range map[string]func(*specs.Spec){
		"invalid hook":            func(s *specs.Spec) { s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "x"}}} },
		"process.apparmorProfile": func(s *specs.Spec) { s.Process.ApparmorProfile = "docker-default" },
		"process.selinuxLabel":    func(s *specs.Spec) { s.Process.SelinuxLabel = "x" },
		"linux.intelRdt":          func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} },
		"no program":              func(s *specs.Spec) { s.Process.Args = nil },
		"not absolute":            func(s *specs.Spec) { s.Process.Cwd = "tmp" },
		"zero byte":               func(s *specs.Spec) { s.Process.Env = []string{"A=\x00"} },
		"no root file system":     func(s *specs.Spec) { s.Root = nil },
	} {
		spec := runtimetest.Spec("/x", "true")
		change(spec)
		err := validate(runtime.Bundle{ID: "x", Spec: spec})
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if err := validate(runtime.Bundle{ID: "x", Spec: runtimetest.Spec("/x", "true")}); err != nil {
		t.Error(err)
	}
}

// The steps of a process stand in the order that makes each of them possible and
// none of them dangerous.
func TestOrderOfSteps(t *testing.T) {
	for _, strict := range []bool{false, true} {
		spec := runtimetest.Spec("/x", "true")
		spec.Process.NoNewPrivileges = strict
		p, _, err := newProgram(spec.Process, spec.Linux, &filter{Program: make([]byte, 8)}, true)
		check(t, err)
		_, table, err := creationScript(creation{spec: spec, program: p, fresh: unix.CLONE_NEWUSER | unix.CLONE_NEWPID, own: unix.CLONE_NEWUSER | unix.CLONE_NEWPID}).ELF()
		check(t, err)
		want := []string{
			"mark descriptors close-on-exec", "make namespaces", "become root of the user namespace", "become non-dumpable",
			"change to the new root", "wait to be started", `change directory to "/"`, "limit the bounding set",
			"install the seccomp filter", "become user 0:0", "set capabilities", `execute "true"`,
		}
		if strict {
			want[8], want[9], want[10] = "become user 0:0", "set capabilities", "set no_new_privs"
			want = slices.Insert(want, 11, "install the seccomp filter")
		}
		i := 0
		for _, e := range table {
			if i < len(want) && e.Do == want[i] {
				i++
			}
		}
		if i != len(want) {
			t.Errorf("no_new_privs %v: %q is missing or out of place in %v", strict, want[i], table)
		}
	}
}

// Whoever joins a user namespace is in its cgroup before: afterwards it may not.
func TestCgroupBeforeUserNamespace(t *testing.T) {
	spec := runtimetest.Spec("/x", "true")
	p, _, err := newProgram(spec.Process, nil, nil, true)
	check(t, err)
	_, table, err := creationScript(creation{
		spec: spec, program: p, inCgroup: true, joinUser: true, own: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, fresh: unix.CLONE_NEWNS,
	}).ELF()
	check(t, err)
	at := func(do string) int {
		return slices.IndexFunc(table, func(e stub.Entry) bool { return e.Do == do })
	}
	enter, join, clone := at("enter the cgroup"), at("join the user namespace"), at("make namespaces")
	if enter < 0 || enter > join || join > clone {
		t.Errorf("the cgroup is step %d, the user namespace step %d, the clone step %d", enter, join, clone)
	}
}

func TestRecordVersion(t *testing.T) {
	if _, err := parseRecord([]byte(`{"Version":2}`)); err == nil {
		t.Error("read a record of another version")
	}
}
