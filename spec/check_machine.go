package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
)

// minMachine is the least memory that a kernel of a virtual machine boots with.
const minMachine = 128 << 20

// checkMachines: a virtual machine cannot have what belongs to the host's kernel, and
// nobody can join it.
func checkMachines(m *model, r *report) {
	machines := map[string]bool{}
	for _, s := range m.enabled() {
		x := s.v.get(extensionKey)
		machines[s.name] = x.get("isolation").text() == string(IsolationVM)
		if machines[s.name] {
			checkMachine(s, r)
		} else if kernel := x.get("kernel"); kernel != nil {
			r.add(kernel.named(), "machine", "a container has the host's kernel", "a kernel of its own needs isolation: vm")
		}
	}
	for _, s := range m.enabled() {
		for _, key := range []string{"network_mode", "pid", "ipc"} {
			v := s.v.get(key)
			if name, ok := strings.CutPrefix(v.text(), types.ServicePrefix); ok && machines[name] {
				r.addf(v.at, "machine", "%s: service %q is a virtual machine, which nobody can share %s with", key, name, kindOf(key))
			}
		}
	}
}

// kindOf is what a key shares.
func kindOf(key string) string {
	switch key {
	case "network_mode":
		return "a network stack"
	case "ipc":
		return "memory"
	}
	return "processes"
}

// checkMachine judges one service that is a virtual machine.
func checkMachine(s *service, r *report) {
	refuse := func(v *value, why string) {
		if v != nil {
			r.add(v.named(), "machine", why, "")
		}
	}
	if v := s.v.get("privileged"); v.truth() {
		refuse(v, "a virtual machine cannot be privileged: it has no part in the host's kernel")
	}
	for _, key := range []string{"devices", "device_cgroup_rules", "gpus"} {
		if v := s.v.get(key); len(v.list()) > 0 || v.text() != "" {
			refuse(v, fmt.Sprintf("%s: a virtual machine cannot have the host's devices", key))
		}
	}
	refuse(s.v.get("deploy", "resources", "reservations", "devices"), "a virtual machine cannot have the host's devices")
	for _, key := range []string{"network_mode", "pid", "ipc", "uts", "cgroup", "userns_mode"} {
		v := s.v.get(key)
		if v.text() == "host" || strings.HasPrefix(v.text(), types.ServicePrefix) {
			whose := strings.Replace(v.text(), "host", "the host's", 1)
			refuse(v, fmt.Sprintf("%s: a virtual machine has a kernel of its own, and cannot share %s", key, whose))
		}
	}
	refuse(s.v.get("runtime"), "runtime: a virtual machine is run by the hypervisor")
	if v := s.v.get("oom_kill_disable"); v.truth() {
		refuse(v, "oom_kill_disable: the memory of a virtual machine is its own kernel's")
	}
	for _, v := range s.v.get("volumes").list() {
		if p := v.get("bind", "propagation"); slices.Contains([]string{"shared", "rshared", "slave", "rslave"}, p.text()) {
			refuse(p, "a virtual machine does not see mounts that are made later")
		}
	}
	for _, v := range []*value{s.v.get("mem_limit"), s.v.get("deploy", "resources", "limits", "memory")} {
		if n, err := units.RAMInBytes(v.text()); v != nil && err == nil && n > 0 && n < minMachine {
			refuse(v, fmt.Sprintf("the memory of a virtual machine cannot be %s: its kernel needs at least 128m", v.text()))
		}
	}
}
