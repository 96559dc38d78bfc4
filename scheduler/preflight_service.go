package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/image"
)

// settings sees that Translate will take what a service asks for: what it refuses
// would otherwise be known only when everything before it runs.
func (p *preflight) settings(svc types.ServiceConfig) {
	t := &translator{
		in: TranslateInput{Project: p.st.Project, Service: svc, Instance: Identity{Name: svc.Name, Number: 1}},
		s:  svc,
		spec: &specs.Spec{
			Process: &specs.Process{}, Linux: &specs.Linux{Resources: &specs.LinuxResources{}},
		},
	}
	for _, step := range []struct {
		rule, key string
		run       func() error
	}{
		{"namespaces", "", func() error { return checkModes(svc) }},
		{"userns", "", func() error { return checkUserNS(p.st.Project, svc) }},
		{"hostname", "hostname", t.hostname},
		{"sysctls", "sysctls", t.sysctls},
		{"ulimits", "ulimits", t.ulimits},
		{"limits", "", t.resources},
		{"devices", "device_cgroup_rules", t.deviceRules},
		{"logging", "logging", t.log},
		{"mounts", "", t.ownMounts},
	} {
		path := []string{"services", svc.Name}
		if step.key != "" {
			path = append(path, step.key)
		}
		if err := step.run(); err != nil {
			p.say(step.rule, err.Error(), path...)
		}
	}
}

// neighbours sees that containers of other projects run whose namespaces a service
// joins, and that it can live in their user namespace.
func (p *preflight) neighbours(svc types.ServiceConfig) {
	for _, m := range [][2]string{{"network_mode", svc.NetworkMode}, {"pid", svc.Pid}, {"ipc", svc.Ipc}} {
		name, ok := strings.CutPrefix(m[1], types.ContainerPrefix)
		if !ok || slices.ContainsFunc(p.own, func(i *Instance) bool { return i.Name == name }) {
			continue
		}
		peer, err := p.m.Neighbour(name)
		own := ownHostUserNS(svc)
		switch {
		case err != nil:
			p.say("namespaces", err.Error(), "services", svc.Name, m[0])
		case own != "" && peer.IDs != nil:
			p.say("userns", fmt.Sprintf("service %q has %s, but shares namespaces with container %q, which has a user namespace", svc.Name, own, name), "services", svc.Name, m[0])
		}
	}
}

// seccomp sees that a service's own system call filter can be applied.
func (p *preflight) seccomp(svc types.ServiceConfig) {
	profile := seccompProfile(p.st.Project, svc)
	if profile == "" {
		return
	}
	if err := p.m.Seccomp(profile); err != nil {
		p.say("seccomp", err.Error(), "services", svc.Name, "security_opt")
	}
}

func (t *translator) deviceRules() error {
	for _, text := range t.s.DeviceCgroupRules {
		if _, err := parseDeviceRule(text); err != nil {
			return err
		}
	}
	return nil
}

// ownMounts are the mounts without those that the image and other containers bring.
func (t *translator) ownMounts() error {
	own := t.s
	own.VolumesFrom = nil
	mounts, err := UserMounts(t.in.Project, own, image.Image{}, t.in.Instance.Name, nil)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Type != types.VolumeTypeTmpfs {
			continue
		}
		if _, err := tmpfsOptions(m.Options); err != nil {
			return err
		}
	}
	return nil
}
