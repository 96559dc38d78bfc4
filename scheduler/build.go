package scheduler

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stack/runtime/build"
)

// buildProject owns the id range of RUN steps. No stack can be called so.
const buildProject = "_build"

// ImageName is what the image of a service is called: as the file says or, for one
// that is only built, PROJECT-SERVICE.
func ImageName(project string, s types.ServiceConfig) string {
	if s.Image == "" && s.Build != nil {
		return project + "-" + s.Name
	}
	return s.Image
}

// Builder makes the images of services.
type Builder struct {
	Layout Layout
	// Version is this program's.
	Version string
	// Settings is the file of the registries' settings, Credentials Docker's
	// config.json of who builds; empty for none.
	Settings, Credentials string
	// Out gets the progress, as Progress says: auto, tty, plain, json or quiet.
	Out      io.Writer
	Progress string
	Terminal bool
}

// BuildOptions are what a command says beside the file.
type BuildOptions struct {
	NoCache, Pull bool
	Args          map[string]string // over the file's
	SSH           []types.SSHKey
	// Platform, when set, is the only one that is built for services with several.
	Native bool
	Check  bool
	// Provenance and SBOM are as in a file; "" is what the file has.
	Provenance, SBOM string
}

// Build makes the images of services, side by side, and with them those that they
// build on. It returns their IDs by service, as image.Image.Digest has them. The
// error of a failed build has the place in the Dockerfile; what its steps printed
// went to Out.
func (b *Builder) Build(ctx context.Context, p *types.Project, services []string, o BuildOptions) (map[string]string, error) {
	job := build.Job{Progress: b.Progress, Terminal: b.Terminal, Check: o.Check}
	for _, name := range withBuildContexts(p, services) {
		q, err := BuildRequest(p, name, o)
		if err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
		job.Images = append(job.Images, q)
	}
	if len(job.Images) == 0 {
		return nil, nil
	}
	results, err := b.run(ctx, job)
	ids := map[string]string{}
	for _, r := range results {
		if r.Image != "" {
			ids[r.Service] = r.Image
		}
	}
	if err == nil {
		err = build.Failure(results)
	}
	return ids, err
}

// Prune removes from the build cache and returns how many bytes that gave.
func (b *Builder) Prune(ctx context.Context, p build.Prune) (int64, error) {
	results, err := b.run(ctx, build.Job{Prune: &p})
	var n int64
	for _, r := range results {
		n += r.Reclaimed
	}
	return n, err
}

func (b *Builder) run(ctx context.Context, job build.Job) ([]build.Result, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	store := &Store{Layout: b.Layout, Project: buildProject}
	if err := os.MkdirAll(b.Layout.Lib, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make state directory: %w", err)
	}
	ids, err := store.AllocateIDs()
	if err != nil {
		return nil, err
	}
	job.Machine = build.Machine{
		Run: b.Layout.Run, Lib: b.Layout.Lib, Images: b.Layout.Images(), Networks: b.Layout.Networks(),
		Settings: b.Settings, Credentials: b.Credentials, Program: b.Version,
		IDs: specs.LinuxIDMapping{HostID: ids.Base, Size: ids.Size},
	}
	runner := build.Runner{Path: filepath.Join(filepath.Dir(exe), build.Program), Out: b.Out}
	return runner.Run(ctx, job)
}

// withBuildContexts adds the services whose images are contexts of others.
func withBuildContexts(p *types.Project, services []string) []string {
	var all []string
	var add func(name string)
	add = func(name string) {
		svc, ok := p.Services[name]
		if !ok || svc.Build == nil || slices.Contains(all, name) {
			return
		}
		all = append(all, name)
		for _, where := range svc.Build.AdditionalContexts {
			if base, ok := serviceContext(where); ok {
				add(base)
			}
		}
	}
	for _, name := range services {
		add(name)
	}
	slices.Sort(all)
	return all
}
