package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/netns/dns"
	"stack/runtime/image"
	"stack/spec"
)

// surroundings fills in what Translate must know of this machine for one start.
func (l *launch) surroundings(ctx context.Context, in *TranslateInput) (err error) {
	in.Owners, in.Real = map[string]BindOwner{}, map[string]string{}
	in.NetworkIDs = l.c.networkIDs()
	in.Machine.Devices = hostDevices(l.svc)
	if err = l.vendorDevices(in); err != nil {
		return err
	}
	if in.VolumesFrom, err = l.volumesFrom(); err != nil {
		return err
	}
	if l.i.Hook != nil {
		if err := l.hookFrom(ctx, in.VolumesFrom); err != nil {
			return err
		}
		in.Service = l.svc
	}
	if err := l.directory(in, l.img); err != nil {
		return err
	}
	mounts, err := UserMounts(l.stack, l.svc, l.img, l.i.Name, in.VolumesFrom)
	if err != nil {
		return err
	}
	in.Filesystems = map[string]VolumeSource{}
	in.Sources = map[string]image.Image{}
	for _, m := range mounts {
		switch m.Type {
		case types.VolumeTypeVolume:
			if err := l.c.Store.locate(in, m); err != nil {
				return err
			}
			if src := in.Filesystems[m.Source].Bind; src != "" {
				if in.Real[src], err = spec.Leads(l.stack.WorkingDir, l.binds, src); err != nil {
					return fmt.Errorf("volume at %s: %w", m.Target, err)
				}
			}
		case types.VolumeTypeBind:
			if in.Owners[m.Source], err = l.c.Store.bindOwner(m); err != nil {
				return err
			}
			if in.Real[m.Source], err = spec.Leads(l.stack.WorkingDir, l.binds, m.Source); err != nil {
				return fmt.Errorf("bind source of %s: %w", m.Target, err)
			}
		case types.VolumeTypeImage:
			if in.Sources[m.Source], err = l.c.imageOf(ctx, l.i.Service, m.Source, ""); err != nil {
				return err
			}
			if err := l.directory(in, in.Sources[m.Source]); err != nil {
				return err
			}
		}
	}
	l.sources = in.Sources
	if in.Secrets, err = contents(l.stack, l.files, used(l.stack.Secrets, sources(l.svc.Secrets))); err != nil {
		return err
	}
	if in.Configs, err = contents(l.stack, l.files, used(l.stack.Configs, sources(l.svc.Configs))); err != nil {
		return err
	}
	return l.resolvConf(in)
}

// places sees that what the service takes of this machine, beside bind sources, lies
// where it lay when the stack was brought up.
func (l *launch) places() error {
	for _, path := range spec.HostPaths(l.stack, l.svc) {
		if _, err := spec.Leads(l.stack.WorkingDir, l.binds, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// directory looks where an image that is a directory of this machine lies.
func (l *launch) directory(in *TranslateInput, img image.Image) (err error) {
	for _, dir := range img.Layers { // those of others are nobody's source
		if in.Real[dir], err = spec.Leads(l.stack.WorkingDir, l.binds, dir); err != nil {
			return err
		}
	}
	return nil
}

// bindOwner looks at a bind mount's source, making it where the file allows.
func (s *Store) bindOwner(m UserMount) (BindOwner, error) {
	st, err := os.Stat(m.Source)
	if errors.Is(err, fs.ErrNotExist) && m.Create {
		if err = os.MkdirAll(m.Source, 0o755); err == nil {
			st, err = os.Stat(m.Source)
		}
	}
	if err != nil {
		return BindOwner{}, fmt.Errorf("bind source of %s: %w", m.Target, err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return BindOwner{}, fmt.Errorf("bind source %s has no owner", m.Source)
	}
	return BindOwner{UID: sys.Uid, GID: sys.Gid, Plain: s.IDMap != nil && s.IDMap(m.Source) != nil}, nil
}

// volumesFrom collects the mounts of the containers named in volumes_from.
func (l *launch) volumesFrom() (map[string][]UserMount, error) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.c.mountsOf(l.stack, l.svc)
}

// mountsOf collects the mounts of what svc names in volumes_from, which may do so
// itself; called under mu. The graph has no cycles.
func (c *Controller) mountsOf(p *types.Project, svc types.ServiceConfig) (map[string][]UserMount, error) {
	out := map[string][]UserMount{}
	for _, entry := range svc.VolumesFrom {
		ref := entry
		for _, mode := range []string{":ro", ":rw"} {
			ref = strings.TrimSuffix(ref, mode)
		}
		lookup := ref
		if !strings.HasPrefix(ref, types.ContainerPrefix) {
			lookup = types.ServicePrefix + ref
		}
		i := c.referenced(lookup)
		if i == nil {
			return nil, fmt.Errorf("volumes_from: %s has no container", ref)
		}
		other := p.Services[i.Service]
		from, err := c.mountsOf(p, other)
		if err != nil {
			return nil, err
		}
		mounts, err := UserMounts(p, other, c.images[i.Service], i.Name, from)
		if err != nil {
			return nil, err
		}
		out[ref] = mounts
	}
	return out, nil
}

// resolvConf points the container at the embedded resolver, at what the file asks
// for, or at the host's own servers where there is no network of ours.
func (l *launch) resolvConf(in *TranslateInput) error {
	s := l.svc
	if s.NetworkMode == hostMode {
		var err error
		if in.Hosts, err = os.ReadFile("/etc/hosts"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		in.ResolvConf, err = os.ReadFile("/etc/resolv.conf")
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	}
	in.ResolvConf = dns.ResolvConf(s.DNSSearch, s.DNSOpts)
	in.HostGateway = l.c.hostGateway(s)
	return nil
}
