package vm

import (
	"fmt"
	goruntime "runtime"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/vm/kernel"
	"stack/runtime/vm/monitor"
)

// machine is the hardware.
type machine struct {
	arch   string // GOARCH
	memory int64  // bytes
	cpus   int
	kernel kernel.Kernel
	initrd string
	qemu   string
	kvm    bool
}

const (
	mib = 1 << 20
	// DefaultMemory is a machine's when the service has no limit, MinMemory the least
	// that a kernel boots with.
	DefaultMemory = 512 * mib
	MinMemory     = 128 * mib
	// hypervisorShare is what QEMU and the monitor need beside the machine's memory.
	hypervisorShare = 256 * mib
	// translated is QEMU's cache of translated code, a part of that.
	translated = 64
)

// size takes memory and processors from the limits.
func (m *machine) size(r *specs.LinuxResources) error {
	m.memory, m.cpus = DefaultMemory, 1
	if r == nil {
		return nil
	}
	if r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit > 0 {
		m.memory = *r.Memory.Limit / mib * mib
	}
	if m.memory < MinMemory {
		return fmt.Errorf("a virtual machine needs a memory limit of at least %d MB", MinMemory/mib)
	}
	if c := r.CPU; c != nil && c.Quota != nil && *c.Quota > 0 && c.Period != nil && *c.Period > 0 {
		m.cpus = int((*c.Quota + int64(*c.Period) - 1) / int64(*c.Period))
		m.cpus = min(m.cpus, goruntime.NumCPU())
	}
	return nil
}

// hypervisors are the programs by architecture, as GOARCH names it.
func hypervisors() map[string]string {
	return map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
}

// console is the kernel's name of the first serial port.
func (m *machine) console() string {
	if m.arch == "arm64" {
		return "ttyAMA0"
	}
	return "ttyS0"
}

// commandLine is the kernel's. A panic ends the machine.
func (m *machine) commandLine() string {
	return "console=" + m.console() + " panic=-1 oops=panic quiet random.trust_cpu=on nowatchdog cgroup_no_v1=all"
}

// command is QEMU's, but for network devices: the monitor adds those.
func (m *machine) command(shared, disk bool) []string {
	args := []string{
		m.qemu, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-smp", fmt.Sprint(m.cpus), "-m", fmt.Sprintf("%dM", m.memory/mib),
		"-kernel", monitor.KernelPath, "-initrd", monitor.InitrdPath, "-append", m.commandLine(),
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d", monitor.ConsoleFD), "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=port,fd=%d", monitor.PortFD),
		"-device", "virtio-serial-pci,max_ports=2", "-device", "virtserialport,chardev=port,name=stack",
		"-fsdev", "local,id=layers,path=" + monitor.LayersDir + ",security_model=none,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=layers,mount_tag=layers",
	}
	args = append(args, m.platform()...)
	if shared {
		args = append(args,
			"-fsdev", "local,id=shared,path="+monitor.SharedDir+",security_model=passthrough,multidevs=remap",
			"-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared")
	}
	if disk {
		args = append(args,
			"-drive", "file="+monitor.DiskPath+",format=raw,if=none,id=disk,cache=writeback,discard=unmap",
			"-device", "virtio-blk-pci,drive=disk")
	}
	return args
}

func (m *machine) platform() []string {
	accel, cpu := fmt.Sprintf("tcg,thread=multi,tb-size=%d", translated), "max"
	if m.kvm {
		accel, cpu = "kvm", "host"
	}
	kind := "q35,usb=off,vmport=off,smbus=off,sata=off,dump-guest-core=off"
	if m.arch == "arm64" {
		kind = "virt,dump-guest-core=off"
	}
	return []string{"-machine", kind, "-accel", accel, "-cpu", cpu}
}
