package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/cdi"
)

// deviceRequest is one request of a service for devices of vendors, and where it
// stands in the file.
type deviceRequest struct {
	cdi.Request
	path []string
}

// deviceRequests are those of devices, gpus and deploy.resources.reservations.
func deviceRequests(s types.ServiceConfig) []deviceRequest {
	var out []deviceRequest
	for n, d := range s.Devices {
		if cdi.IsName(d.Source) {
			out = append(out, deviceRequest{cdi.Request{Driver: "cdi", IDs: []string{d.Source}}, []string{"devices", fmt.Sprint(n)}})
		}
	}
	add := func(list []types.DeviceRequest, path ...string) {
		for n, d := range list {
			q := cdi.Request{Driver: d.Driver, Capabilities: d.Capabilities, Count: int(d.Count), IDs: d.IDs}
			if q.Count == 0 && len(q.IDs) == 0 {
				q.Count = -1
			}
			out = append(out, deviceRequest{q, append(slices.Clone(path), fmt.Sprint(n))})
		}
	}
	add(s.Gpus, "gpus")
	if s.Deploy == nil || s.Deploy.Resources.Reservations == nil {
		return out
	}
	r := s.Deploy.Resources.Reservations
	add(r.Devices, "deploy", "resources", "reservations", "devices")
	for n, g := range r.GenericResources {
		if g.DiscreteResourceSpec == nil {
			continue
		}
		q := cdi.Request{Count: int(g.DiscreteResourceSpec.Value)}
		if kind := g.DiscreteResourceSpec.Kind; cdi.IsKind(kind) {
			q.Driver = kind
		} else {
			q.Capabilities = []string{strings.ToLower(kind)}
		}
		out = append(out, deviceRequest{q, []string{"deploy", "resources", "reservations", "generic_resources", fmt.Sprint(n)}})
	}
	return out
}

// vendorEdits resolves a service's requests.
func vendorEdits(s types.ServiceConfig, r *cdi.Registry) (cdi.Edits, error) {
	var all []string
	for _, q := range deviceRequests(s) {
		names, err := r.Select(q.Request)
		if err != nil {
			return cdi.Edits{}, err
		}
		for _, n := range names {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return r.Devices(all...)
}

// vendorDevices looks at what a service's devices need of this machine.
func (l *launch) vendorDevices(in *TranslateInput) error {
	if len(deviceRequests(l.svc)) == 0 {
		return nil
	}
	edits, err := vendorEdits(l.svc, cdi.Load(l.c.CDIDirs))
	if err != nil {
		return err
	}
	in.CDI = &edits
	for _, d := range in.CDI.DeviceNodes {
		host := cmp.Or(d.HostPath, d.Path)
		if in.Machine.Devices[host], err = vendorNode(host); err != nil {
			return err
		}
	}
	for _, m := range in.CDI.Mounts {
		if m.Type == "" || m.Type == "bind" {
			if in.Owners[m.HostPath], err = l.c.Store.bindOwner(UserMount{Source: m.HostPath, Target: m.ContainerPath}); err != nil {
				return err
			}
		}
	}
	return nil
}

func vendorNode(path string) (DeviceNode, error) {
	n, ok := deviceNode(path)
	if !ok {
		return n, fmt.Errorf("device %s of a CDI specification is not on this machine", path)
	}
	return n, nil
}

// vendorDevices sees that there are the devices that a service asks for.
func (p *preflight) vendorDevices(svc types.ServiceConfig) {
	requests := deviceRequests(svc)
	if len(requests) == 0 {
		return
	}
	r := p.m.Vendors()
	for _, q := range requests {
		names, err := r.Select(q.Request)
		if err == nil {
			_, err = r.Devices(names...)
		}
		if err != nil {
			p.say("device", err.Error(), append([]string{"services", svc.Name}, q.path...)...)
		}
	}
}

// vendorDevices applies what CDI specifications ask for, after the service's own
// mounts: theirs may lie in those.
func (t *translator) vendorDevices() error {
	if t.in.CDI == nil {
		if len(deviceRequests(t.s)) > 0 {
			return errors.New("the devices of CDI specifications were not looked up")
		}
		return nil
	}
	e := *t.in.CDI
	env := envList(t.spec.Process.Env)
	for _, text := range e.Env {
		key, value, _ := strings.Cut(text, "=")
		env.set(key, value)
	}
	t.spec.Process.Env = env
	for _, d := range e.DeviceNodes {
		if err := t.vendorNode(d); err != nil {
			return err
		}
	}
	for _, m := range e.Mounts {
		if err := t.vendorMount(m); err != nil {
			return err
		}
	}
	for _, h := range e.Hooks {
		if err := t.vendorHook(h); err != nil {
			return err
		}
	}
	for _, gid := range e.AdditionalGIDs {
		if t.ids == nil || gid < t.ids.Size {
			t.spec.Process.User.AdditionalGids = append(t.spec.Process.User.AdditionalGids, gid)
		}
	}
	return nil
}

func (t *translator) vendorNode(d cdi.DeviceNode) error {
	node, ok := t.in.Machine.Devices[cmp.Or(d.HostPath, d.Path)]
	access := cmp.Or(d.Permissions, "rwm")
	switch {
	case !ok:
		return fmt.Errorf("no such device on this machine: %s", cmp.Or(d.HostPath, d.Path))
	case !path.IsAbs(d.Path):
		return fmt.Errorf("device %q of a CDI specification has no absolute path", d.Path)
	case strings.Trim(access, "rwm") != "":
		return fmt.Errorf("device %q of a CDI specification: permissions %q are not made of r, w and m", d.Path, access)
	}
	if d.FileMode != nil {
		node.Mode = node.Mode&^os.ModePerm | os.FileMode(*d.FileMode&0o777)
	}
	if d.UID != nil {
		node.UID = *d.UID
	}
	if d.GID != nil {
		node.GID = *d.GID
	}
	if slices.ContainsFunc(t.spec.Linux.Devices, func(o specs.LinuxDevice) bool { return o.Path == path.Clean(d.Path) }) {
		return nil // privileged, or asked for by two names
	}
	t.addDevice(path.Clean(d.Path), node)
	if !t.s.Privileged {
		r := t.spec.Linux.Resources
		r.Devices = append(r.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: node.Type, Major: &node.Major, Minor: &node.Minor, Access: access})
	}
	return nil
}

func (t *translator) vendorMount(m cdi.Mount) error {
	if !path.IsAbs(m.ContainerPath) {
		return fmt.Errorf("mount %q of a CDI specification has no absolute path", m.ContainerPath)
	}
	out := specs.Mount{Destination: path.Clean(m.ContainerPath), Type: cmp.Or(m.Type, "bind"), Source: m.HostPath, Options: slices.Clone(m.Options)}
	if out.Type != "bind" {
		t.spec.Mounts = append(t.spec.Mounts, out)
		return nil
	}
	if !slices.Contains(out.Options, "bind") && !slices.Contains(out.Options, "rbind") {
		out.Options = append(out.Options, "rbind")
	}
	if err := t.mapBind(&out); err != nil {
		return err
	}
	t.spec.Mounts = append(t.spec.Mounts, out)
	return nil
}

func (t *translator) vendorHook(h cdi.Hook) error {
	if t.spec.Hooks == nil {
		t.spec.Hooks = &specs.Hooks{}
	}
	hook := specs.Hook{Path: h.Path, Args: h.Args, Env: h.Env, Timeout: h.Timeout}
	//lint:ignore SA1019 specifications of CDI may use Prestart
	prestart := &t.spec.Hooks.Prestart
	list, ok := map[string]*[]specs.Hook{
		"prestart": prestart, "createRuntime": &t.spec.Hooks.CreateRuntime, "createContainer": &t.spec.Hooks.CreateContainer,
		"startContainer": &t.spec.Hooks.StartContainer, "poststart": &t.spec.Hooks.Poststart, "poststop": &t.spec.Hooks.Poststop,
	}[h.Name]
	if !ok {
		return fmt.Errorf("hook %q of a CDI specification is not known", h.Name)
	}
	*list = append(*list, hook)
	return nil
}
