package scheduler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
	"stack/runtime/image"
)

// FilesBundle describes a container that shows a stopped instance's files: its root
// and those of its mounts that exist. It is to be created, looked at through
// the runtime and deleted, never started. It has the instance's ID, so a start
// meanwhile takes its place.
func (s *Store) FilesBundle(ctx context.Context, images image.Resolver, i *Instance) (runtime.Bundle, error) {
	b, err := s.filesBundle(ctx, images, i)
	if err != nil {
		return b, fmt.Errorf("cannot open the files of container %s: %w", i.Name, err)
	}
	return b, nil
}

func (s *Store) filesBundle(ctx context.Context, images image.Resolver, i *Instance) (runtime.Bundle, error) {
	w, err := s.LoadWish()
	if err != nil {
		return runtime.Bundle{}, err
	}
	if w.Stack == nil {
		return runtime.Bundle{}, errors.New("no stack is recorded")
	}
	made, err := s.blueprint(w, i)
	if err != nil {
		return runtime.Bundle{}, err
	}
	project, svc := made.project, made.service
	img, err := images.Resolve(ctx, image.Absolute(ImageName(project.Name, svc), project.WorkingDir), svc.Platform)
	if (err != nil || img.Digest != i.Digest) && made.image.Digest == i.Digest {
		img, err = made.image, nil
	}
	if err != nil {
		return runtime.Bundle{}, err
	}
	if img.Digest != i.Digest {
		return runtime.Bundle{}, fmt.Errorf("image %s is another one by now", ImageName(project.Name, svc))
	}
	in := TranslateInput{
		Project: project, Service: filesOnly(project, svc), Image: img,
		Instance: i.identity(),
		Layer:    s.LayerDir(i.ID), Volumes: map[string]string{}, Owners: map[string]BindOwner{}, Sources: map[string]image.Image{}, Filesystems: map[string]VolumeSource{},
		Seccomp: func([]string) (*specs.LinuxSeccomp, error) { return nil, nil }, // nothing will run
	}
	if in.UserNSBefore = i.userNSBefore(); in.UserNSBefore == UserNSOwn || in.UserNSBefore == UserNSUndecided && !HostUserNS(project, svc) {
		ids, err := s.AllocateIDs()
		if err != nil {
			return runtime.Bundle{}, err
		}
		in.IDs = &ids
	}
	if err := s.mountSources(ctx, images, &in); err != nil {
		return runtime.Bundle{}, err
	}
	out, err := Translate(in)
	if err != nil {
		return runtime.Bundle{}, err
	}
	b := out.Bundle(i.ID)
	b.Files = nil
	b.Spec.Linux.Resources = &specs.LinuxResources{}
	b.Spec.Mounts = slices.DeleteFunc(b.Spec.Mounts, func(m specs.Mount) bool {
		return m.Type == "bind" && !exists(m.Source)
	})
	return b, nil
}

// filesOnly is a service without what does not concern its files.
func filesOnly(p *types.Project, s types.ServiceConfig) types.ServiceConfig {
	out := types.ServiceConfig{Name: s.Name}
	out.Image, out.Volumes, out.Tmpfs, out.ReadOnly = s.Image, s.Volumes, s.Tmpfs, s.ReadOnly
	out.NetworkMode, out.Command = "none", types.ShellCommand{"/"}
	if HostUserNS(p, s) {
		out.UserNSMode = hostMode
	}
	return out
}

// mountSources tells where the mounts come from, without making any.
func (s *Store) mountSources(ctx context.Context, images Images, in *TranslateInput) error {
	mounts, err := UserMounts(in.Project, in.Service, in.Image, in.Instance.Name, nil)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		switch m.Type {
		case types.VolumeTypeImage:
			if in.Sources[m.Source], err = images.Resolve(ctx, m.Source, ""); err != nil {
				return err
			}
		case types.VolumeTypeVolume:
			if err := s.locate(in, m); err != nil {
				return err
			}
		case types.VolumeTypeBind:
			m.Create = false
			in.Owners[m.Source] = BindOwner{} // one that is missing is left out
			if exists(m.Source) {
				if in.Owners[m.Source], err = s.bindOwner(m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
