package spec

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// hostSources tells where the places of this machine lie that containers are given:
// the sources of bind mounts, HostPaths and BuildPaths. Links in a folder that a container can
// write lead wherever it likes by the next start; see Leads.
func hostSources(p *types.Project) []File {
	out := []File{}
	seen := map[string]bool{}
	add := func(paths ...string) {
		for _, path := range paths {
			if filepath.IsAbs(path) && !seen[path] {
				seen[path] = true
				out = append(out, File{Path: path, Real: willBe(path)})
			}
		}
	}
	for _, s := range p.AllServices() {
		add(HostPaths(p, s)...)
		add(BuildPaths(p, s)...)
		for _, c := range containersOf(s) {
			for _, v := range c.Volumes {
				if v.Type == types.VolumeTypeBind {
					add(v.Source)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// containersOf are a service's own container and those of its hooks.
func containersOf(s types.ServiceConfig) []types.ContainerSpec {
	out := []types.ContainerSpec{s.ContainerSpec}
	for _, h := range s.PreStart {
		out = append(out, h.ContainerSpec)
	}
	return out
}

// HostPaths are the absolute paths of this machine, beside the sources of bind mounts,
// that a service's start follows: its images that are no registry's, its devices,
// what its volumes are of, its kernel.
func HostPaths(p *types.Project, s types.ServiceConfig) []string {
	var out []string
	add := func(path string) {
		if path == "" {
			return
		}
		if path = filepath.Clean(Absolute(p.WorkingDir, path)); !Within("/dev", path) { // whose links are the host's own
			out = append(out, path)
		}
	}
	for _, c := range containersOf(s) {
		add(imagePath(c.Image))
		for _, d := range c.Devices {
			if filepath.IsAbs(d.Source) { // else a name of CDI
				add(d.Source)
			}
		}
		for _, v := range c.Volumes {
			switch v.Type {
			case types.VolumeTypeImage:
				add(imagePath(v.Source))
			case types.VolumeTypeVolume:
				for _, path := range volumePaths(p.Volumes[v.Source].DriverOpts) {
					add(path)
				}
			}
		}
	}
	if x, err := ServiceExtension(s); err == nil {
		add(x.Kernel)
	}
	return out
}

// BuildPaths are the absolute paths of this machine that a service's build reads: its
// contexts, its Dockerfile, its secrets.
func BuildPaths(p *types.Project, s types.ServiceConfig) []string {
	b := s.Build
	if b == nil {
		return nil
	}
	paths := []string{b.Context}
	if filepath.IsAbs(b.Context) && b.Dockerfile != "" {
		paths = append(paths, Absolute(b.Context, b.Dockerfile))
	}
	for _, path := range b.AdditionalContexts {
		paths = append(paths, path)
	}
	for _, ref := range b.Secrets {
		if file := p.Secrets[ref.Source].File; file != "" {
			paths = append(paths, Absolute(p.WorkingDir, file))
		}
	}
	return slices.DeleteFunc(paths, func(path string) bool { return !filepath.IsAbs(path) })
}

// imagePath is the path in a reference of an image that is a directory or file of this
// machine; see image.Absolute.
func imagePath(ref string) string {
	scheme, rest, _ := strings.Cut(ref, ":")
	switch scheme {
	case "rootfs":
		return rest
	case "oci", "docker-archive":
		path, _, _ := strings.Cut(rest, ":")
		return path
	}
	return ""
}

// volumePaths are those that the options of a volume name: what is mounted, and the
// layers of an overlay.
func volumePaths(options map[string]string) []string {
	out := []string{options["device"]}
	for word := range strings.SplitSeq(options["o"], ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		if slices.Contains([]string{"lowerdir", "upperdir", "workdir"}, key) {
			out = append(out, strings.Split(value, ":")...)
		}
	}
	return slices.DeleteFunc(out, func(path string) bool { return !filepath.IsAbs(path) })
}
