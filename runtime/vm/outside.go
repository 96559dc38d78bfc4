package vm

import (
	"encoding/json"
	"maps"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/vm/monitor"
)

// Capabilities of the monitor. QEMU keeps those with which it acts on files as their
// owners; the others are for opening the taps, and for giving those up.
func capabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
		"CAP_NET_ADMIN", "CAP_SETPCAP",
	}
}

// hypervisorPids bounds the hypervisor's threads: the guest's file requests use some.
const hypervisorPids = 512

// outsideBundle is the hypervisor's container. base is the read-only tree it stands
// on, system the directories of the host that programs need.
type outsideInput struct {
	base    string
	system  []string
	shim    string
	boot    time.Duration
	seccomp func([]string) (*specs.LinuxSeccomp, error)
}

func (p *plan) outsideBundle(in outsideInput) (runtime.Bundle, error) {
	s, err := p.outsideSpec(in)
	if err != nil {
		return runtime.Bundle{}, err
	}
	b := runtime.Bundle{
		ID: p.in.ID, Spec: s, Directory: p.in.Directory, Root: runtime.RootFS{Lowers: []string{in.base}},
		Stdin: p.in.Stdin, Stdout: p.in.Stdout, Stderr: p.in.Stderr, Attach: p.in.Attach, Adopt: p.in.Adopt,
	}
	b.Files, err = p.outsideFiles(in)
	return b, err
}

// outsideFiles tells the monitor everything, in memory: the container's files, with
// the secrets among them, and the interfaces once they are known.
func (p *plan) outsideFiles(in outsideInput) ([]runtime.File, error) {
	config, err := json.Marshal(monitor.Config{
		Version: monitor.ConfigVersion, Machine: p.guest, Command: p.machine.command(p.guest.Shared, p.disk != ""),
		Stdin: p.in.Stdin != nil, Terminal: p.in.Spec.Process.Terminal, Boot: in.boot,
	})
	if err != nil {
		return nil, err
	}
	interfaces := func() []byte {
		var list []runtime.Interface
		if p.in.Interfaces != nil {
			list = p.in.Interfaces()
		}
		b, _ := json.Marshal(list) // of plain values: it cannot fail
		return b
	}
	files := []runtime.File{
		{Target: monitor.ConfigPath, Content: config, Mode: 0o400},
		{Target: monitor.InterfacesPath, Append: interfaces, Mode: 0o400},
	}
	for i, f := range p.in.Files {
		files = append(files, runtime.File{
			Target: path.Join(monitor.FilesDir, strconv.Itoa(i)), Content: f.Content, Append: f.Append, Mode: 0o400,
		})
	}
	return files, nil
}

func (p *plan) outsideSpec(in outsideInput) (*specs.Spec, error) {
	given := p.in.Spec
	caps := capabilities()
	annotations := maps.Clone(given.Annotations)
	delete(annotations, initAnnotation) // the monitor is the first process; that one is inside
	s := &specs.Spec{
		Version: given.Version, Hostname: given.Hostname, Domainname: given.Domainname,
		Root: &specs.Root{Readonly: true}, Annotations: annotations, Hooks: given.Hooks,
		Process: &specs.Process{
			Args: []string{monitor.Program, "machine-monitor"}, Cwd: "/", Env: relayEnv(),
			Terminal: given.Process.Terminal, ConsoleSize: given.Process.ConsoleSize,
			NoNewPrivileges: true, OOMScoreAdj: given.Process.OOMScoreAdj,
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		},
		Mounts: p.outsideMounts(in),
		Linux: &specs.Linux{
			Namespaces: given.Linux.Namespaces, UIDMappings: given.Linux.UIDMappings, GIDMappings: given.Linux.GIDMappings,
			CgroupsPath: given.Linux.CgroupsPath, Resources: p.outsideResources(),
			Devices:     p.devices(),
			MaskedPaths: []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi"},
		},
	}
	var err error
	if in.seccomp != nil {
		s.Linux.Seccomp, err = in.seccomp(caps)
	}
	return s, err
}

// devices of the hypervisor: the taps', and the processor's.
func (p *plan) devices() []specs.LinuxDevice {
	mode := os.FileMode(0o600)
	owner := uint32(0)
	list := []specs.LinuxDevice{{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, FileMode: &mode, UID: &owner, GID: &owner}}
	if p.machine.kvm {
		list = append(list, specs.LinuxDevice{Path: "/dev/kvm", Type: "c", Major: 10, Minor: 232, FileMode: &mode, UID: &owner, GID: &owner})
	}
	return list
}

// outsideResources put a fence around the hypervisor: the service's limits, with room
// for what it needs beside the machine's memory.
func (p *plan) outsideResources() *specs.LinuxResources {
	out := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	for _, d := range p.devices() {
		out.Devices = append(out.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: "rw"})
	}
	memory, pids := p.machine.memory+hypervisorShare, int64(hypervisorPids)
	out.Memory = &specs.LinuxMemory{Limit: &memory, Swap: &memory}
	out.Pids = &specs.LinuxPids{Limit: &pids}
	if r := p.in.Spec.Linux.Resources; r != nil {
		out.CPU, out.BlockIO = r.CPU, r.BlockIO
		if r.Memory != nil {
			out.Memory.Reservation = r.Memory.Reservation
		}
	}
	return out
}

// outsideMounts are the pseudo file systems, the host's programs, and the machine.
func (p *plan) outsideMounts(in outsideInput) []specs.Mount {
	quiet := []string{"nosuid", "noexec", "nodev"}
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: quiet},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: append(quiet, "size=1m")},
	}
	readOnly := func(source, target string) {
		list = append(list, specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"bind", "ro", "nosuid", "nodev"}})
	}
	for _, dir := range in.system {
		readOnly(dir, dir)
	}
	readOnly(in.shim, monitor.Program)
	readOnly(p.machine.kernel.Image, monitor.KernelPath)
	readOnly(p.machine.initrd, monitor.InitrdPath)
	if p.disk != "" {
		list = append(list, specs.Mount{Destination: monitor.DiskPath, Type: "bind", Source: p.disk, Options: []string{"bind", "nosuid", "nodev", "noexec"}})
	}
	return append(list, p.outside...)
}
