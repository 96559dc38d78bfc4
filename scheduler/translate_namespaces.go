package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// hostMode is the value that gives up isolation in network_mode, pid, ipc, uts,
// cgroup and userns_mode.
const hostMode = "host"

// joined lists the containers whose namespaces a service joins, as written.
func joined(s types.ServiceConfig) []string {
	var refs []string
	for _, mode := range []string{s.NetworkMode, s.Ipc, s.Pid} {
		if isPeerRef(mode) && !slices.Contains(refs, mode) {
			refs = append(refs, mode)
		}
	}
	return refs
}

func isPeerRef(mode string) bool {
	return strings.HasPrefix(mode, types.ServicePrefix) || strings.HasPrefix(mode, types.ContainerPrefix)
}

// checkModes refuses a value that would otherwise be taken for isolation, or for
// the lack of it.
func checkModes(s types.ServiceConfig) error {
	for _, m := range []struct {
		key, value string
		peers      bool
		words      []string
	}{
		{"network_mode", s.NetworkMode, true, []string{"none", "bridge", "default"}},
		{"ipc", s.Ipc, true, []string{"none", "private", "shareable"}},
		{"pid", s.Pid, true, []string{"private"}},
		{"uts", s.Uts, false, []string{"private"}},
		{"cgroup", s.Cgroup, false, []string{"private"}},
		{"userns_mode", s.UserNSMode, false, []string{"private"}},
	} {
		if m.value != "" && m.value != hostMode && !slices.Contains(m.words, m.value) && !(m.peers && isPeerRef(m.value)) {
			return fmt.Errorf("%s: %q is not known", m.key, m.value)
		}
	}
	return nil
}

func (t *translator) namespaces() error {
	if err := checkModes(t.s); err != nil {
		return err
	}
	userNS, err := t.userNamespace()
	if err != nil {
		return err
	}
	for _, n := range []struct {
		kind specs.LinuxNamespaceType
		mode string
		file string
	}{
		{specs.PIDNamespace, t.s.Pid, "pid"},
		{specs.NetworkNamespace, t.s.NetworkMode, "net"},
		{specs.IPCNamespace, t.s.Ipc, "ipc"},
		{specs.UTSNamespace, t.s.Uts, "uts"},
		{specs.MountNamespace, "", ""},
		{specs.CgroupNamespace, t.s.Cgroup, "cgroup"},
	} {
		if n.mode == hostMode {
			continue
		}
		ns := specs.LinuxNamespace{Type: n.kind}
		if isPeerRef(n.mode) {
			ns.Path = fmt.Sprintf("/proc/%d/ns/%s", t.in.Peers[n.mode].Pid, n.file)
		}
		t.spec.Linux.Namespaces = append(t.spec.Linux.Namespaces, ns)
	}
	if userNS != nil {
		t.spec.Linux.Namespaces = append(t.spec.Linux.Namespaces, *userNS)
		t.spec.Linux.UIDMappings = t.ids.mapping()
		t.spec.Linux.GIDMappings = t.ids.mapping()
		t.out.UserNS = true
	}
	return t.hostname()
}

func (t *translator) hostname() error {
	t.out.Hostname = hostnameOf(t.s, t.in.Instance)
	if len(t.out.Hostname) > 64 {
		return fmt.Errorf("hostname %q is longer than 64 characters", t.out.Hostname)
	}
	if t.s.Uts == hostMode {
		return nil
	}
	t.spec.Hostname = t.out.Hostname
	t.spec.Domainname = t.s.DomainName
	return nil
}

func hostnameOf(s types.ServiceConfig, i Identity) string {
	switch {
	case s.Hostname != "":
		return s.Hostname
	case i.Hostname != "":
		return i.Hostname
	}
	return i.ShortID()
}

// sysctls refuses what would change the host: only settings that belong to a
// namespace of the container's own are passed on.
func (t *translator) sysctls() error {
	set := map[string]string{}
	if ownNamespace(t.s.NetworkMode) {
		last := uint32(65535)
		if t.ids != nil {
			last = min(last, t.ids.Size-1)
		}
		set["net.ipv4.ip_unprivileged_port_start"] = "0"
		set["net.ipv4.ping_group_range"] = fmt.Sprintf("0 %d", last)
	}
	for _, key := range slices.Sorted(maps.Keys(t.s.Sysctls)) {
		if err := t.checkSysctl(key); err != nil {
			return err
		}
		set[strings.ReplaceAll(key, "/", ".")] = t.s.Sysctls[key]
	}
	if len(set) > 0 {
		t.spec.Linux.Sysctl = set
	}
	return nil
}

func ownNamespace(mode string) bool { return mode != hostMode && !isPeerRef(mode) }

func (t *translator) checkSysctl(key string) error {
	name := strings.ReplaceAll(key, "/", ".")
	ipc := []string{"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
		"kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"}
	switch {
	case strings.HasPrefix(name, "net."):
		if !ownNamespace(t.s.NetworkMode) {
			return fmt.Errorf("sysctl %q is not allowed with network_mode: %s", key, t.s.NetworkMode)
		}
	case slices.Contains(ipc, name), strings.HasPrefix(name, "fs.mqueue."):
		if !ownNamespace(t.s.Ipc) {
			return fmt.Errorf("sysctl %q is not allowed with ipc: %s", key, t.s.Ipc)
		}
	default:
		return fmt.Errorf("sysctl %q does not belong to a namespace of the container: it would change the host", key)
	}
	return nil
}
