package runtimetest

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// The ids the suite maps a container's 0 to IDs-1 to.
const (
	FirstID = 200000
	IDs     = 65536
)

// capabilityNames are Docker's default capabilities, defaultMask the same as the
// kernel prints them.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
}

const defaultMask = "00000000a80425fb"

// Spec is a container as stacks make them: all namespaces, Docker's
// capabilities, a read-only root.
func Spec(rootfs string, args ...string) *specs.Spec {
	caps := capabilityNames[:]
	mapping := []specs.LinuxIDMapping{{ContainerID: 0, HostID: FirstID, Size: IDs}}
	return &specs.Spec{
		Version:  specs.Version,
		Root:     &specs.Root{Path: rootfs, Readonly: true},
		Hostname: "box",
		Process: &specs.Process{
			Args: args,
			Env:  []string{"PATH=/bin:/usr/bin", "HOME=/"},
			Cwd:  "/",
			Capabilities: &specs.LinuxCapabilities{
				Bounding: caps, Effective: caps, Permitted: caps,
			},
		},
		Mounts: mounts(),
		Linux: &specs.Linux{
			Namespaces:  namespaces(),
			UIDMappings: mapping, GIDMappings: mapping,
			MaskedPaths:   []string{"/proc/cpuinfo", "/proc/kcore", "/proc/keys"},
			ReadonlyPaths: []string{"/proc/sys", "/proc/sysrq-trigger"},
			Resources:     &specs.LinuxResources{},
		},
	}
}

func namespaces() []specs.LinuxNamespace {
	var list []specs.LinuxNamespace
	for _, t := range []specs.LinuxNamespaceType{
		specs.UserNamespace, specs.PIDNamespace, specs.NetworkNamespace, specs.IPCNamespace,
		specs.UTSNamespace, specs.MountNamespace, specs.CgroupNamespace,
	} {
		list = append(list, specs.LinuxNamespace{Type: t})
	}
	return list
}

// HostUser takes the user namespace away.
func HostUser(s *specs.Spec) {
	Without(s, specs.UserNamespace)
	s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
}

// Without takes a namespace away: the container shares the caller's.
func Without(s *specs.Spec, kind specs.LinuxNamespaceType) {
	var list []specs.LinuxNamespace
	for _, n := range s.Linux.Namespaces {
		if n.Type != kind {
			list = append(list, n)
		}
	}
	s.Linux.Namespaces = list
}

// Join makes the container share a namespace at path.
func Join(s *specs.Spec, kind specs.LinuxNamespaceType, path string) {
	Without(s, kind)
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
}

func mounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777"}},
	}
}
