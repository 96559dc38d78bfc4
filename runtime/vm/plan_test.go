package vm

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/runtimetest"
	"stack/runtime/vm/kernel"
	"stack/runtime/vm/monitor"
)

func testMachine() machine {
	return machine{arch: "amd64", memory: DefaultMemory, cpus: 2, qemu: "/usr/bin/qemu-system-x86_64", initrd: "/vm/initrd", kernel: kernel.Kernel{Image: "/vm/vmlinux"}}
}

func testBundle() runtime.Bundle {
	s := runtimetest.Spec("", "prog")
	s.Root = &specs.Root{}
	s.Annotations = map[string]string{Annotation: "vm", "stack.init": "true"}
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	s.Mounts = append(s.Mounts,
		specs.Mount{Destination: "/data", Type: "bind", Source: "/vol", Options: []string{"rbind", "ro", "idmap"}},
		specs.Mount{Destination: "/img", Type: "overlay", Source: "overlay", Options: []string{"ro", "lowerdir+=/layer"}})
	return runtime.Bundle{
		ID: "abc", Spec: s,
		Root: runtime.RootFS{
			Lowers: []string{"/l2", "/l1"}, Upper: "/state/abc/upper", Work: "/state/abc/work",
			Overlays: []runtime.Overlay{{Target: "/usr", Lower: "/usr", Upper: "/state/abc/overlay-0/upper", Work: "/state/abc/overlay-0/work"}},
		},
		Files: []runtime.File{{Target: "/run/secrets/word", Content: []byte("xyzzy"), Mode: 0o400}},
	}
}

func TestPlanDivides(t *testing.T) {
	p, err := newPlan(testBundle(), testMachine())
	if err != nil {
		t.Fatal(err)
	}
	outer, err := p.outsideBundle(outsideInput{base: "/vm/base", system: []string{"/usr"}, shim: "/bin/stack-shim"})
	if err != nil {
		t.Fatal(err)
	}
	// Inside: no namespaces of users and networks, no host's path, all changes on the disk.
	for _, n := range p.guest.Spec.Linux.Namespaces {
		if n.Type == specs.UserNamespace || n.Type == specs.NetworkNamespace {
			t.Errorf("the guest's container has a %s namespace", n.Type)
		}
	}
	inside, _ := json.Marshal(p.guest)
	for _, path := range []string{"/vol", "/l1", "/state/", "xyzzy"} {
		if strings.Contains(string(inside), path) {
			t.Errorf("the guest is told of %q", path)
		}
	}
	r := p.guest.Root
	if !slices.Equal(r.Lowers, []string{"/mnt/layers/root"}) || r.Upper != "/mnt/disk/upper" || r.Overlays[0].Lower != "/mnt/layers/overlay-0" || r.Overlays[0].Upper != "/mnt/disk/overlay-0/upper" {
		t.Errorf("the guest's root: %+v", r)
	}
	if p.disk != "/state/abc/disk" || !p.guest.Shared || !p.guest.Disk || p.guest.Sysctls["net.ipv4.ip_forward"] != "1" {
		t.Errorf("disk %q, %+v", p.disk, p.guest)
	}
	mounts := map[string]specs.Mount{}
	for _, m := range p.guest.Spec.Mounts {
		mounts[m.Destination] = m
	}
	if m := mounts["/data"]; !strings.HasPrefix(m.Source, "/mnt/shared/") || !slices.Equal(m.Options, []string{"rbind", "ro"}) {
		t.Errorf("/data: %+v", m)
	}
	if m := mounts["/img"]; !strings.HasPrefix(m.Source, "/mnt/layers/image-") {
		t.Errorf("/img: %+v", m)
	}
	// Outside: the hypervisor has nothing of the container's but its shares, and the
	// secret in memory only.
	s := outer.Spec
	if s.Process.Args[0] != monitor.Program || !s.Process.NoNewPrivileges || !s.Root.Readonly || len(s.Process.Env) > 2 || len(s.Linux.Sysctl) > 0 {
		t.Errorf("outside: %+v", s.Process)
	}
	if p.guest.Spec.Annotations["stack.init"] != "true" || s.Annotations["stack.init"] != "" {
		t.Error("the reaper is not inside")
	}
	if slices.Contains(s.Process.Capabilities.Bounding, "CAP_SYS_ADMIN") {
		t.Error("the monitor is an administrator")
	}
	spec, _ := json.Marshal(s)
	if strings.Contains(string(spec), "xyzzy") || len(outer.Files) != 3 {
		t.Errorf("the secret is in the configuration, or not among %d files", len(outer.Files))
	}
	if got := *s.Linux.Resources.Memory.Limit; got != DefaultMemory+hypervisorShare {
		t.Errorf("limit of memory %d", got)
	}
}

func TestPlanRefuses(t *testing.T) {
	for what, change := range map[string]func(*runtime.Bundle){
		"namespace": func(b *runtime.Bundle) {
			runtimetest.Join(b.Spec, specs.NetworkNamespace, "/proc/1/ns/net")
		},
		"devices":     func(b *runtime.Bundle) { b.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fuse"}} },
		"descriptors": func(b *runtime.Bundle) { b.ExtraFiles = append(b.ExtraFiles, nil) },
		"no process":  func(b *runtime.Bundle) { b.Spec.Process = nil },
	} {
		b := testBundle()
		change(&b)
		if _, err := newPlan(b, testMachine()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSize(t *testing.T) {
	limits := func(memory, quota int64) *specs.LinuxResources {
		period := uint64(100000)
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &memory}, CPU: &specs.LinuxCPU{Quota: &quota, Period: &period}}
	}
	var m machine
	if err := m.size(nil); err != nil || m.memory != DefaultMemory || m.cpus != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	if err := m.size(limits(300*mib+5, 100001)); err != nil || m.memory != 300*mib || m.cpus > 2 {
		t.Errorf("%+v, %v", m, err)
	}
	if err := m.size(limits(64*mib, 0)); err == nil || !strings.Contains(err.Error(), "at least 128 MB") {
		t.Errorf("64 MB: %v", err)
	}
}

func TestCommandIsSandboxed(t *testing.T) {
	m := testMachine()
	line := strings.Join(m.command(true, true), " ")
	for _, part := range []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "elevateprivileges=deny", "spawn=deny", "-smp 2", "-m 512M", "q35,", "accel tcg", "panic=-1",
		"path=/machine/layers,security_model=none,readonly=on", "mount_tag=shared", "file=/machine/disk",
	} {
		if !strings.Contains(line, part) {
			t.Errorf("%q is not in %s", part, line)
		}
	}
	if bare := strings.Join(m.command(false, false), " "); strings.Contains(bare, "shared") || strings.Contains(bare, "disk") {
		t.Error(bare)
	}
	m.kvm, m.arch = true, "arm64"
	if line := strings.Join(m.command(false, false), " "); !strings.Contains(line, "-accel kvm -cpu host") || !strings.Contains(line, "ttyAMA0") {
		t.Error(line)
	}
}
