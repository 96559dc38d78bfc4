package scheduler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/image"
	"stack/spec"
)

// blueprint is what a container is made of. A restart, by whomever, keeps what the
// container was created with; only a new container takes what the file says by now.
type blueprint struct {
	project *types.Project
	service types.ServiceConfig // after the options of `run`
	image   image.Image         // as recorded; zero when the present one is meant
	files   []spec.File         // that the stack was read from; nil is unknown
	binds   []spec.File         // sources of bind mounts; nil is unknown
}

// blueprint returns an instance's. It is the present stack's as long as no command
// came since the instance was created, for a pre_start hook, and where none is
// recorded (an earlier version's container, a full disk).
func (s *Store) blueprint(w Wish, i *Instance) (blueprint, error) {
	if i.CreatedSeq < w.Sequence && i.Hook == nil {
		d, err := s.LoadDetails(i.ID)
		if err == nil {
			project, then, err := d.project(w.Stack.Project, w.Contents)
			return blueprint{project, d.Service, d.Image, then.Files, then.Sources}, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return blueprint{}, err
		}
	}
	svc, ok := w.Stack.Services[i.Service]
	if !ok {
		return blueprint{}, errNotInFile(i.Service)
	}
	if h := i.Hook; h != nil && h.Step >= len(svc.PreStart) {
		return blueprint{}, errHookGone(i)
	}
	return blueprint{project: w.Stack.Project, service: i.Apply(svc), files: w.Stack.Files, binds: w.Stack.Sources}, nil
}

func errNotInFile(service string) error {
	return fmt.Errorf("service %q is not in the file any more", service)
}

// blueprint is Store.blueprint by the present wish; called under mu.
func (c *Controller) blueprint(i *Instance) (blueprint, error) {
	return c.Store.blueprint(c.want.Wish, i)
}

// serviceOf is the service that an instance was created from; called under mu. What
// cannot be read is told, and is the present file's.
func (c *Controller) serviceOf(i *Instance) types.ServiceConfig {
	b, err := c.blueprint(i)
	if err != nil {
		c.Log.Warn("cannot read what a container was made of", "container", i.Name, "error", err)
		return c.want.Stack.Services[i.Service]
	}
	return b.service
}

// imageMade is the image that an instance was created from. The present one is taken
// if it is the same: resolving it has seen to its layers.
func (c *Controller) imageMade(ctx context.Context, i *Instance, recorded image.Image) (image.Image, error) {
	img, err := c.image(ctx, i.Service)
	if (err != nil || img.Digest != i.Digest) && recorded.Digest != "" && recorded.Digest == i.Digest {
		return recorded, nil
	}
	return img, err
}

// objectsOf is the part of a project that a service refers to, without services,
// sealed.
func objectsOf(p *types.Project, svc types.ServiceConfig) *types.Project {
	out := &types.Project{Name: p.Name, WorkingDir: p.WorkingDir,
		Networks: types.Networks{}, Volumes: types.Volumes{}, Secrets: types.Secrets{}, Configs: types.Configs{}}
	for _, key := range attachments(svc) {
		keep(out.Networks, p.Networks, key)
	}
	for _, v := range svc.Volumes {
		if v.Type == types.VolumeTypeVolume {
			keep(out.Volumes, p.Volumes, v.Source)
		}
	}
	for _, s := range svc.Secrets {
		keep(out.Secrets, p.Secrets, s.Source)
	}
	for _, s := range svc.Configs {
		keep(out.Configs, p.Configs, s.Source)
	}
	seal(out)
	return out
}

func keep[T any](to, from map[string]T, key string) {
	if v, ok := from[key]; ok {
		to[key] = v
	}
}

// recorded is what Details.objects hold: the objects, and where their files lay.
func recorded(p *types.Project, files, binds []spec.File, svc types.ServiceConfig) *spec.Stack {
	out := &spec.Stack{Project: objectsOf(p, svc), Sources: binds}
	if files == nil {
		return out
	}
	out.Files = []spec.File{}
	paths := map[string]bool{}
	note := func(path string) {
		if path != "" {
			path = spec.Absolute(p.WorkingDir, path)
		}
		paths[path] = true
	}
	for _, o := range out.Secrets {
		note(o.File)
	}
	for _, o := range out.Configs {
		note(o.File)
	}
	for _, f := range files {
		if paths[f.Path] {
			out.Files = append(out.Files, f)
		}
	}
	return out
}

// project is the recorded objects among the present services.
func (d Details) project(now *types.Project, kept map[string]string) (*types.Project, *spec.Stack, error) {
	if len(d.objects) == 0 {
		return now, &spec.Stack{}, nil
	}
	st, err := spec.Decode(d.objects)
	if err != nil {
		return nil, nil, err
	}
	unseal(st.Project, now, kept)
	st.Project.Services = now.Services
	return st.Project, st, nil
}
