package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
	"stack/runtime/cdi"
	"stack/runtime/image"
	"stack/spec"
)

// Machinery is what Preflight asks the machine with.
type Machinery interface {
	// Reserve binds a port for a moment to see that it is free.
	Reserve(p netns.Port) (netns.Port, *os.File, error)
	// Clash says whether the network's subnets overlap others on the host.
	Clash(n netns.Network) error
	Lookup(name string) (netns.Network, bool, error)
	// Filesystem says whether the kernel knows a file system.
	Filesystem(kind string) error
	// Neighbour finds a running container of another project.
	Neighbour(container string) (Peer, error)
	// Seccomp says whether a profile can be applied; it may be the path of a file that
	// was not read as one.
	Seccomp(profile string) error
	Facts() Facts
	// Vendors are the CDI specifications.
	Vendors() *cdi.Registry
	// Runtime says whether containers can be run with an OCI runtime.
	Runtime(name string) error
	// Quotas says whether what a container writes can be bounded.
	Quotas() error
	// Images are those of the store.
	Images() ([]image.Record, error)
}

// Preflight looks at everything that would fail half-way for reasons outside the
// stack file, before anything is made: all findings at once, each with the place
// that asks for what is not there.
func Preflight(ctx context.Context, st *spec.Stack, services []string, m Machinery, s *Store) (spec.Diagnostics, error) {
	p := &preflight{st: st, m: m, store: s, seen: map[string]bool{}, facts: m.Facts()}
	if err := p.look(); err != nil {
		return nil, err
	}
	p.reservations(services)
	for _, name := range services {
		svc, ok := st.Services[name]
		if !ok {
			continue
		}
		p.containerName(svc)
		p.platform(svc)
		p.runtime(svc)
		p.storage(svc)
		p.health(svc)
		p.image(svc)
		p.binds(svc)
		p.ports(svc)
		p.objects(svc)
		p.networks(svc)
		p.volumes(svc)
		p.devices(svc)
		p.settings(svc)
		p.seccomp(svc)
		p.neighbours(svc)
	}
	return p.found.Sorted(), ctx.Err()
}

type preflight struct {
	st    *spec.Stack
	m     Machinery
	store *Store
	own   []*Instance
	facts Facts
	found spec.Diagnostics
	seen  map[string]bool // networks and volumes looked at already
}

// look reads which containers the project has now.
func (p *preflight) look() (err error) {
	p.own, err = p.store.Current(time.Now())
	return err
}

func (p *preflight) say(rule, message string, path ...string) {
	p.found = append(p.found, p.st.Finding(rule, message, path...))
}

// image sees that a local reference leads somewhere.
func (p *preflight) image(svc types.ServiceConfig) {
	if svc.Image == "" {
		return
	}
	if err := image.Check(image.Absolute(svc.Image, p.st.WorkingDir)); err != nil {
		p.say("image", err.Error(), "services", svc.Name, "image")
	}
	for n, h := range svc.PreStart {
		if err := image.Check(image.Absolute(h.Image, p.st.WorkingDir)); err != nil && h.Image != svc.Image {
			p.say("image", err.Error(), "services", svc.Name, "pre_start", strconv.Itoa(n), "image")
		}
	}
	for n, v := range svc.Volumes {
		if err := image.Check(image.Absolute(v.Source, p.st.WorkingDir)); v.Type == types.VolumeTypeImage && err != nil {
			p.say("image", err.Error(), "services", svc.Name, "volumes", strconv.Itoa(n), "source")
		}
	}
}

func (p *preflight) binds(svc types.ServiceConfig) {
	for n, v := range svc.Volumes {
		if v.Type != types.VolumeTypeBind || v.Bind != nil && v.Bind.CreateHostPath {
			continue
		}
		if _, err := os.Stat(v.Source); err != nil {
			p.say("bind-source", "bind source "+reason(v.Source, err), "services", svc.Name, "volumes", strconv.Itoa(n))
		}
	}
}

// reason says what is wrong with a path without Go's words.
func reason(path string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return path + " does not exist"
	}
	return strings.TrimPrefix(err.Error(), "stat ")
}

// ports sees that the host ports of every replica are free, or ours.
func (p *preflight) ports(svc types.ServiceConfig) {
	if len(attachments(svc)) == 0 {
		return
	}
	for n, c := range svc.Ports {
		path := []string{"services", svc.Name, "ports", strconv.Itoa(n)}
		var last uint16
		for number := range svc.GetScale() {
			ask, err := port(c, Identity{Number: number + 1})
			if err != nil {
				p.say("ports", err.Error(), path...)
				break
			}
			if ask.HostPort == 0 || ask.HostPort == last || p.holds(ask) { // 0 is chosen at the start
				continue
			}
			last = ask.HostPort
			_, f, err := p.m.Reserve(ask)
			if err != nil && p.look() == nil && p.holds(ask) {
				continue // another command has begun to start it meanwhile
			}
			var taken *netns.PortTakenError
			if errors.As(err, &taken) && taken.HeldBy(p.st.Name) {
				continue // our own shim, for a start that a kill interrupted
			}
			if err != nil {
				p.say("port-taken", withoutErrno(err), path...)
				break
			}
			f.Close()
		}
	}
}

// withoutErrno leaves out the kernel's words for what the message says already.
func withoutErrno(err error) string {
	return strings.TrimSuffix(err.Error(), ": "+syscall.EADDRINUSE.Error())
}

// holds reports whether this project's own containers publish the port, or are about
// to: then it is the start that finds it taken.
func (p *preflight) holds(ask netns.Port) bool {
	return slices.ContainsFunc(p.own, func(i *Instance) bool {
		return (i.live() || i.State == StateCreated && i.Error == "") && slices.ContainsFunc(i.Ports, func(q netns.Port) bool {
			return q.Protocol == ask.Protocol && q.HostPort == ask.HostPort
		})
	})
}

// objects sees that files of secrets and configs are there.
func (p *preflight) objects(svc types.ServiceConfig) {
	check := func(kind, key, file string) {
		if file == "" {
			return
		}
		if _, err := os.Stat(file); err != nil {
			p.say(kind+"-file", kind+" "+key+": file "+reason(file, err), kind+"s", key, "file")
		}
	}
	for _, s := range svc.Secrets {
		check("secret", s.Source, p.st.Secrets[s.Source].File)
	}
	for _, c := range svc.Configs {
		check("config", c.Source, p.st.Configs[c.Source].File)
	}
}

func (p *preflight) networks(svc types.ServiceConfig) {
	for _, key := range attachments(svc) {
		if !p.first("networks", key) {
			continue
		}
		n := p.st.Networks[key]
		name := NetworkName(p.st.Project, key)
		if bool(n.External) {
			if _, ok, err := p.m.Lookup(name); err == nil && !ok {
				p.absent("network", name, key)
			}
			continue
		}
		p.subnets(key, n)
	}
}

// subnets looks at those that the file gives; the others are chosen to fit.
func (p *preflight) subnets(key string, n types.NetworkConfig) {
	for i, pool := range n.Ipam.Config {
		np, err := networkPool(pool)
		if err != nil || !np.Subnet.IsValid() {
			continue // spec tells
		}
		ask := netns.Network{ID: netns.NetworkID(p.st.Name, key), Name: NetworkName(p.st.Project, key), Pools: []netns.Pool{np}}
		if err := p.m.Clash(ask); err != nil {
			p.say("subnet-overlap", err.Error(), "networks", key, "ipam", "config", strconv.Itoa(i), "subnet")
		}
	}
}

// volumes sees that external ones exist, and that what the others are made of does.
func (p *preflight) volumes(svc types.ServiceConfig) {
	for _, m := range svc.Volumes {
		v, declared := p.st.Volumes[m.Source]
		if m.Type != types.VolumeTypeVolume || !declared || !p.first("volumes", m.Source) {
			continue
		}
		if !bool(v.External) {
			p.volumeOptions(m.Source, v)
			continue
		}
		name := VolumeName(p.st.Project, m.Source)
		if _, err := p.store.Layout.LoadVolume(name); errors.Is(err, fs.ErrNotExist) {
			p.absent("volume", name, m.Source)
		}
	}
}

// absent tells of an external object that nobody made.
func (p *preflight) absent(kind, name, key string) {
	p.say("external-"+kind, fmt.Sprintf("%s %s declared as external, but could not be found; make it with: stack %s create %s", kind, name, kind, name), kind+"s", key)
}

// devices sees that the machine has them.
func (p *preflight) devices(svc types.ServiceConfig) {
	p.vendorDevices(svc)
	for n, d := range svc.Devices {
		if cdi.IsName(d.Source) {
			continue
		}
		if _, err := os.Stat(d.Source); err != nil {
			p.say("device", "device "+reason(d.Source, err), "services", svc.Name, "devices", strconv.Itoa(n))
		}
	}
}

// first reports whether an object is looked at for the first time.
func (p *preflight) first(kind, key string) bool {
	known := p.seen[kind+" "+key]
	p.seen[kind+" "+key] = true
	return !known
}
