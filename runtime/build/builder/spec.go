package builder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/core/mount"
	containerdoci "github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime"
)

// cgroupParent is where the containers of builds are.
const cgroupParent = "/stack/build"

// describe makes the specification of the step's container but for what depends on
// its root file system: see look.
func (s *step) describe(ctx context.Context) error {
	opts := []containerdoci.SpecOpts{}
	if s.Meta.ReadonlyRootFS || s.root.Readonly {
		opts = append(opts, containerdoci.WithRootFSReadonly())
	}
	// The mounts are ours to make: BuildKit would mount overlays on its own side.
	spec, cleanup, err := oci.GenerateSpec(ctx, s.Meta, nil, s.id, "", "", plug{s.Meta.NetMode}, "", oci.ProcessSandbox, nil, "", false, "", nil, opts...)
	if err != nil {
		return fmt.Errorf("cannot describe the step's container: %w", err)
	}
	s.later(func() error { cleanup(); return nil })
	spec.Linux.CgroupsPath = path.Join(cgroupParent, s.id)
	spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool {
		return m.Destination == "/etc/hosts" || m.Destination == "/etc/resolv.conf" // files of the bundle
	})
	if s.ownUserNS() {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		spec.Linux.UIDMappings = []specs.LinuxIDMapping{s.ids}
		spec.Linux.GIDMappings = []specs.LinuxIDMapping{s.ids}
	}
	s.bundle = runtime.Bundle{ID: s.id, Spec: spec}
	if s.Meta.NetMode != pb.NetMode_HOST {
		s.bundle.Attach = func(ctx context.Context, pid int) error {
			return s.network.Attach(ctx, s.id, pid, s.Meta.NetMode == pb.NetMode_UNSET)
		}
	}
	if err := s.addFiles(ctx); err != nil {
		return err
	}
	return s.addMounts(ctx)
}

// addFiles gives the container its /etc/hosts and /etc/resolv.conf.
func (s *step) addFiles(ctx context.Context) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	resolv, err := oci.GetResolvConf(ctx, root, nil, nil, s.Meta.NetMode)
	if err != nil {
		return fmt.Errorf("cannot make resolv.conf: %w", err)
	}
	hosts, clean, err := oci.GetHostsFile(ctx, root, s.Meta.ExtraHosts, nil, s.Meta.Hostname)
	if err != nil {
		return fmt.Errorf("cannot make the hosts file: %w", err)
	}
	if clean != nil {
		defer clean()
	}
	for target, name := range map[string]string{"/etc/resolv.conf": resolv, "/etc/hosts": hosts} {
		data, err := root.ReadFile(name)
		if err != nil {
			return err
		}
		s.bundle.Files = append(s.bundle.Files, runtime.File{Target: target, Content: data, Mode: 0o644})
	}
	return nil
}

// addMounts adds what RUN --mount asks for. A later mount at the place of an earlier
// one replaces it.
func (s *step) addMounts(ctx context.Context) error {
	for _, m := range s.mounts {
		made, err := s.mount(ctx, m)
		if err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.Dest, err)
		}
		all := &s.bundle.Spec.Mounts
		*all = slices.DeleteFunc(*all, func(o specs.Mount) bool { return path.Clean(o.Destination) == made.Destination })
		*all = append(*all, made)
	}
	release, err := s.writers.take(ctx, s.shared)
	if err != nil {
		return err
	}
	s.later(release)
	return nil
}

func (s *step) mount(ctx context.Context, m executor.Mount) (specs.Mount, error) {
	if m.Src == nil {
		return specs.Mount{}, errors.New("it has no source")
	}
	src, err := m.Src.Mount(ctx, m.Readonly)
	if err != nil {
		return specs.Mount{}, err
	}
	all, release, err := unshared(src).Mount()
	if err != nil {
		return specs.Mount{}, err
	}
	s.later(release)
	if len(all) != 1 {
		return specs.Mount{}, fmt.Errorf("it needs %d mounts", len(all))
	}
	dest := path.Clean("/" + m.Dest)
	if all[0].Type == "tmpfs" {
		return specs.Mount{Destination: dest, Type: "tmpfs", Source: "tmpfs", Options: all[0].Options}, nil
	}
	t, err := parseTree(all[0])
	if err != nil {
		return specs.Mount{}, err
	}
	if t.upper != "" {
		s.shared = append(s.shared, t.upper)
	}
	sub, err := s.selected(all, m.Selector)
	if err != nil {
		return specs.Mount{}, err
	}
	return t.mount(dest, sub, m.Readonly, s.ownUserNS()), nil
}

// selected resolves a path in a source of mounts: links in it lead to where they
// lead inside it.
func (s *step) selected(source []mount.Mount, selector string) (string, error) {
	if path.Join("/", selector) == "/" {
		return "", nil
	}
	dir, err := os.MkdirTemp(s.dir, "source-")
	if err != nil {
		return "", err
	}
	defer os.Remove(dir)
	if err := mount.All(source, dir); err != nil {
		return "", err
	}
	defer mount.UnmountAll(dir, 0)
	real, err := fs.RootPath(dir, selector)
	if err == nil {
		_, err = os.Lstat(real)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", selector, errors.Unwrap(err))
	}
	return filepath.Rel(dir, real)
}

// mountPoints are all places that the runtime mounts something at.
func (s *step) mountPoints() []string {
	set := map[string]bool{"/dev": true}
	for _, m := range s.bundle.Spec.Mounts {
		set[m.Destination] = true
	}
	for _, f := range s.bundle.Files {
		set[f.Target] = true
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(set)), func(name string) bool { return name == "/" })
}

// look reads the user from the root file system and makes the working directory.
func (s *step) look(root string) error {
	uid, gid, groups, err := oci.GetUser(root, s.Meta.User)
	if err != nil {
		return fmt.Errorf("cannot find user %q: %w", s.Meta.User, err)
	}
	if !slices.Contains(groups, gid) { // or a missing one could get around denials (CVE-2022-36109)
		groups = append([]uint32{gid}, groups...)
	}
	s.bundle.Spec.Process.User = specs.User{UID: uid, GID: gid, AdditionalGids: groups}
	cwd, err := fs.RootPath(root, s.Meta.Cwd)
	if err != nil {
		return fmt.Errorf("cannot resolve the working directory %q: %w", s.Meta.Cwd, err)
	}
	if _, err := os.Stat(cwd); err != nil {
		if err := makeDirectory(root, cwd, int(uid), int(gid)); err != nil {
			return fmt.Errorf("cannot make the working directory: %w", err)
		}
	}
	return s.stubs.note(root)
}

// makeDirectory makes dir and what is missing above it, owned by the user.
func makeDirectory(root, dir string, uid, gid int) error {
	if _, err := os.Stat(dir); err == nil || dir == root {
		return err
	}
	if err := makeDirectory(root, filepath.Dir(dir), uid, gid); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

// setRoot says what the root file system is made of.
func (s *step) setRoot(mounts []mount.Mount) error {
	if len(mounts) != 1 {
		return fmt.Errorf("the root file system needs %d mounts", len(mounts))
	}
	t, err := parseTree(mounts[0])
	if err != nil {
		return err
	}
	dir := ""
	if s.bundle.Root, dir = t.root(); dir != "" {
		s.bundle.Spec.Root.Path = dir
	}
	s.written = t.upper + t.dir
	return nil
}

// plug tells BuildKit nothing of networks: the runtime's hook makes them.
type plug struct{ mode pb.NetMode }

// Set implements network.Namespace.
func (p plug) Set(s *specs.Spec) error {
	if p.mode == pb.NetMode_HOST {
		return containerdoci.WithHostNamespace(specs.NetworkNamespace)(context.Background(), nil, nil, s)
	}
	return nil
}

func (plug) Close() error                                   { return nil }
func (plug) Sample() (*resourcestypes.NetworkSample, error) { return nil, nil }
