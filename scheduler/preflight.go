package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns"
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
}

// Preflight looks at everything that would fail half-way for reasons outside the
// stack file, before anything is made: all findings at once, each with the place
// that asks for what is not there.
func Preflight(ctx context.Context, st *spec.Stack, services []string, m Machinery, s *Store) (spec.Diagnostics, error) {
	own, err := s.Current(time.Now())
	if err != nil {
		return nil, err
	}
	p := &preflight{st: st, m: m, store: s, own: own}
	for _, name := range services {
		svc, ok := st.Services[name]
		if !ok {
			continue
		}
		p.image(svc)
		p.binds(svc)
		p.ports(svc)
		p.objects(svc)
		p.networks(svc)
	}
	return p.found, ctx.Err()
}

type preflight struct {
	st    *spec.Stack
	m     Machinery
	store *Store
	own   []*Instance
	found spec.Diagnostics
	nets  []string // networks looked at already
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

// ports sees that fixed host ports are free, or ours.
func (p *preflight) ports(svc types.ServiceConfig) {
	for n, port := range svc.Ports {
		path := []string{"services", svc.Name, "ports", strconv.Itoa(n)}
		number, err := strconv.ParseUint(port.Published, 10, 16)
		if err != nil || number == 0 {
			continue // a range or a free choice: decided at the start
		}
		ask := netns.Port{Protocol: port.Protocol, HostPort: uint16(number), Target: uint16(port.Target)}
		if port.HostIP != "" {
			if ask.HostIP, err = netip.ParseAddr(port.HostIP); err != nil {
				continue // spec tells
			}
		}
		if p.holds(ask) {
			continue
		}
		_, f, err := p.m.Reserve(ask)
		if err != nil {
			p.say("port-taken", err.Error(), path...)
			continue
		}
		f.Close()
	}
}

// holds reports whether this project's own containers publish the port now.
func (p *preflight) holds(ask netns.Port) bool {
	return slices.ContainsFunc(p.own, func(i *Instance) bool {
		return i.live() && slices.ContainsFunc(i.Ports, func(q netns.Port) bool {
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
		if slices.Contains(p.nets, key) {
			continue
		}
		p.nets = append(p.nets, key)
		n := p.st.Networks[key]
		name := NetworkName(p.st.Project, key)
		if bool(n.External) {
			if _, ok, err := p.m.Lookup(name); err == nil && !ok {
				p.say("external-network", fmt.Sprintf("network %s declared as external, but could not be found; make it with: stack network create %s", name, name), "networks", key)
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
