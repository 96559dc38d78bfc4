package scheduler

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/spec"
)

// allCapabilities lists every capability by its number (linux/capability.h).
func allCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
		"CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
		"CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
		"CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
		"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
		"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
		"CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

// defaultCapabilities are those that Docker leaves a container.
func defaultCapabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SETFCAP",
	}
}

func (t *translator) security() error {
	caps, err := t.capabilities()
	if err != nil {
		return err
	}
	// Nothing inheritable or ambient: a user other than root has none after exec.
	t.spec.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: caps, Effective: slices.Clone(caps), Permitted: slices.Clone(caps),
	}
	o, err := t.securityOptions()
	if err != nil {
		return err
	}
	t.spec.Process.NoNewPrivileges = o.noNewPrivileges
	if !o.bareSystemPaths && !t.s.Privileged {
		t.spec.Linux.MaskedPaths = t.maskedPaths()
		t.spec.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	}
	return t.seccomp(o.seccomp, caps)
}

// capabilities applies cap_drop, then cap_add, to the defaults. ALL in either
// replaces the defaults by everything or nothing.
func (t *translator) capabilities() ([]string, error) {
	if t.s.Privileged {
		return allCapabilities(), nil
	}
	add, err := capabilityNames(t.s.CapAdd)
	if err != nil {
		return nil, fmt.Errorf("cap_add: %w", err)
	}
	drop, err := capabilityNames(t.s.CapDrop)
	if err != nil {
		return nil, fmt.Errorf("cap_drop: %w", err)
	}
	base := defaultCapabilities()
	switch {
	case slices.Contains(add, "ALL"):
		base, add = allCapabilities(), nil
	case slices.Contains(drop, "ALL"):
		base = nil
	}
	keep := func(c string) bool {
		return slices.Contains(add, c) || slices.Contains(base, c) && !slices.Contains(drop, c)
	}
	return slices.DeleteFunc(allCapabilities(), func(c string) bool { return !keep(c) }), nil
}

func capabilityNames(in []string) ([]string, error) {
	var out []string
	for _, name := range in {
		full := strings.ToUpper(name)
		if full != "ALL" && !strings.HasPrefix(full, "CAP_") {
			full = "CAP_" + full
		}
		if full != "ALL" && !slices.Contains(allCapabilities(), full) {
			return nil, fmt.Errorf("no such capability: %s", name)
		}
		out = append(out, full)
	}
	return out, nil
}

// seccompProfile is a service's own profile, or the path of the file that the load
// could not read it from; empty where it has none.
func seccompProfile(p *types.Project, s types.ServiceConfig) string {
	t := &translator{s: s}
	o, err := t.securityOptions()
	switch {
	case err != nil || o.seccomp == "" || o.seccomp == "builtin" || o.seccomp == "unconfined":
		return ""
	case spec.InlineProfile(o.seccomp):
		return o.seccomp
	}
	return absolute(p, o.seccomp)
}

// absolute is a path as the project's directory has it.
func absolute(p *types.Project, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.WorkingDir, path)
}

type securityOptions struct {
	noNewPrivileges bool
	seccomp         string // "", "builtin", "unconfined", a profile, or a file that nobody could read
	bareSystemPaths bool
}

func (t *translator) securityOptions() (o securityOptions, err error) {
	for _, opt := range t.s.SecurityOpt {
		key, value, _ := strings.Cut(opt, "=")
		if !strings.Contains(opt, "=") {
			key, value, _ = strings.Cut(opt, ":")
		}
		switch {
		case key == "no-new-privileges":
			if o.noNewPrivileges, err = parseFlag(value); err != nil {
				return o, fmt.Errorf("security_opt %q: %w", opt, err)
			}
		case key == "seccomp" && value != "":
			o.seccomp = value
		case key == "systempaths" && value == "unconfined":
			o.bareSystemPaths = true
		case key == "apparmor", key == "label":
			if value != "unconfined" && value != "disable" {
				t.warn("security_opt %q is ignored: profiles of Linux security modules are not applied", opt)
			}
		default:
			return o, fmt.Errorf("security_opt %q is not known", opt)
		}
	}
	return o, nil
}

// parseFlag reads an option's value; a bare option is true.
func parseFlag(value string) (bool, error) {
	if value == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%q is neither true nor false", value)
	}
	return b, nil
}

// maskedPaths are Docker's: what tells of the host or its hardware, each with a
// published attack behind it.
func (t *translator) maskedPaths() []string {
	paths := []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	for cpu := range t.in.Machine.CPUs {
		paths = append(paths, fmt.Sprintf("/sys/devices/system/cpu/cpu%d/thermal_throttle", cpu))
	}
	return paths
}

func (t *translator) seccomp(profile string, caps []string) (err error) {
	if profile == "builtin" {
		profile = ""
	}
	switch {
	case profile == "unconfined", profile == "" && t.s.Privileged:
		return nil
	case profile != "" && !spec.InlineProfile(profile): // now it could be anybody's
		return fmt.Errorf("seccomp profile %s is not recorded: run `stack up`", profile)
	case profile != "" && t.in.ParseSeccomp != nil:
		t.spec.Linux.Seccomp, err = t.in.ParseSeccomp(profile, caps)
	case profile == "" && t.in.Seccomp != nil:
		t.spec.Linux.Seccomp, err = t.in.Seccomp(caps)
	default:
		return errors.New("no seccomp profile is at hand") // never run unconfined by omission
	}
	return err
}
