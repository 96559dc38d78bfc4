package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/vm/monitor"
	"stack/runtime/vm/wire"
)

// plan is one machine: what goes outside, and what inside.
type plan struct {
	in       runtime.Bundle
	machine  machine
	warnings []string

	// disk is the file of what the guest writes, empty without one.
	disk string
	// outside are the mounts of the hypervisor's container below monitor.Dir.
	outside []specs.Mount
	guest   wire.Machine
}

// initAnnotation puts a reaper before a program; the native runtime's.
const initAnnotation = "stack.init"

// resolver is where containers ask for names.
const resolver = "127.0.0.11"

// newPlan divides a bundle. It is pure.
func newPlan(b runtime.Bundle, m machine) (*plan, error) {
	if err := check(b); err != nil {
		return nil, err
	}
	inner, err := clone(b.Spec)
	if err != nil {
		return nil, err
	}
	p := &plan{in: b, machine: m, guest: wire.Machine{ID: b.ID, Spec: inner}}
	p.root()
	p.mounts()
	p.confine()
	p.guest.Files = slices.Clone(b.Files)
	for i := range p.guest.Files {
		p.guest.Files[i].Content, p.guest.Files[i].Append = nil, nil
	}
	if b.Interfaces != nil {
		p.guest.Resolver = netip.MustParseAddr(resolver)
	}
	return p, nil
}

// check refuses what no machine can have.
func check(b runtime.Bundle) error {
	if b.Spec.Process == nil || b.Spec.Linux == nil {
		return errors.New("invalid bundle: no process or no Linux settings")
	}
	if len(b.ExtraFiles) > 0 {
		return errors.New("a virtual machine cannot be given further descriptors")
	}
	for _, n := range b.Spec.Linux.Namespaces {
		if n.Path != "" {
			return fmt.Errorf("a virtual machine cannot join the %s namespace of others", n.Type)
		}
	}
	if len(b.Spec.Linux.Devices) > 0 {
		return errors.New("a virtual machine cannot be given devices of the host")
	}
	return nil
}

func clone(s *specs.Spec) (*specs.Spec, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	out := new(specs.Spec)
	return out, json.Unmarshal(b, out)
}

// Paths of the shares in the guest; package guest mounts them.
const (
	guestLayers = "/mnt/layers"
	guestShared = "/mnt/shared"
	guestDisk   = "/mnt/disk"
)

// DiskName is a machine's disk, in the directory where a container's layer is.
const DiskName = "disk"

// root shares the layers read-only, and lets the guest lay its own changes over them:
// on a disk where the container has a writable layer.
func (p *plan) root() {
	r := p.in.Root
	p.guest.Spec.Root = &specs.Root{Readonly: p.in.Spec.Root != nil && p.in.Spec.Root.Readonly}
	if len(r.Lowers) == 0 && r.Upper == "" {
		p.plainRoot()
		return
	}
	p.guest.Root.Lowers = []string{p.layer("root", r.Lowers)}
	if r.Upper != "" {
		p.disk = path.Join(path.Dir(r.Upper), DiskName)
		p.guest.Disk = true
		p.guest.Root.Upper, p.guest.Root.Work = guestDisk+"/upper", guestDisk+"/work"
	}
	for i, o := range r.Overlays {
		name := fmt.Sprintf("overlay-%d", i)
		inside := runtime.Overlay{Target: o.Target, Lower: p.layer(name, []string{o.Lower})}
		if o.Upper != "" {
			inside.Upper, inside.Work = path.Join(guestDisk, name, "upper"), path.Join(guestDisk, name, "work")
		}
		p.guest.Root.Overlays = append(p.guest.Root.Overlays, inside)
	}
}

// plainRoot is a directory that is used as it is.
func (p *plan) plainRoot() {
	dir := p.in.Spec.Root.Path
	if p.in.Spec.Root.Readonly {
		p.guest.Spec.Root.Path = p.layer("root", []string{dir})
		return
	}
	p.guest.Spec.Root.Path = p.share(specs.Mount{Type: "bind", Source: dir, Options: []string{"rbind"}})
}

// layer shows trees at a name below the layers' share, and returns where the guest
// finds them.
func (p *plan) layer(name string, lowers []string) string {
	m := specs.Mount{Destination: path.Join(monitor.LayersDir, name), Type: "overlay", Source: "overlay", Options: []string{"ro"}}
	for _, dir := range lowers {
		m.Options = append(m.Options, "lowerdir+="+dir)
	}
	p.outside = append(p.outside, m)
	return path.Join(guestLayers, name)
}

// share shows a mount of the host to the guest, and returns where the guest finds it.
func (p *plan) share(m specs.Mount) string {
	name := strconv.Itoa(len(p.outside))
	m.Destination = path.Join(monitor.SharedDir, name)
	p.outside = append(p.outside, m)
	p.guest.Shared = true
	return path.Join(guestShared, name)
}

// mounts leaves the guest those that its kernel makes; the others become shares.
func (p *plan) mounts() {
	for i, m := range p.in.Spec.Mounts {
		if made := p.mount(m); made != nil {
			p.guest.Spec.Mounts[i] = *made
		}
	}
}

func (p *plan) mount(m specs.Mount) *specs.Mount {
	bind := m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
	switch {
	case bind:
	case slices.Contains([]string{"proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2"}, m.Type):
		return nil
	case m.Type == "overlay":
		name := fmt.Sprintf("image-%d", len(p.outside))
		from := m
		from.Destination = path.Join(monitor.LayersDir, name)
		p.outside = append(p.outside, from)
		return &specs.Mount{Destination: m.Destination, Type: "bind", Source: path.Join(guestLayers, name), Options: insideOptions(m.Options)}
	}
	return &specs.Mount{Destination: m.Destination, Type: "bind", Source: p.share(m), Options: insideOptions(m.Options)}
}

// insideOptions are what of a mount's options the guest's kernel is to keep.
func insideOptions(options []string) []string {
	out := []string{"rbind"}
	for _, o := range options {
		switch o {
		case "ro", "nosuid", "nodev", "noexec":
			out = append(out, o)
		case "rro":
			out = append(out, "ro")
		}
	}
	return out
}

// confine makes the guest's container of the one asked for: it has the machine for
// itself, so it needs neither ids nor a network of its own.
func (p *plan) confine() {
	s := p.guest.Spec
	s.Annotations = map[string]string{initAnnotation: p.in.Spec.Annotations[initAnnotation]}
	s.Hooks = nil
	l := s.Linux
	l.Namespaces = slices.DeleteFunc(l.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.UserNamespace || n.Type == specs.NetworkNamespace || n.Type == specs.TimeNamespace
	})
	l.UIDMappings, l.GIDMappings, l.TimeOffsets = nil, nil, nil
	l.CgroupsPath = "" // the guest's to choose
	p.guest.Sysctls, l.Sysctl = l.Sysctl, nil
	inner := &specs.LinuxResources{} // the guest knows how much memory it has
	if r := p.in.Spec.Linux.Resources; r != nil {
		inner.Pids = r.Pids
	}
	l.Resources = inner
}
