package scheduler

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stack/runtime/build"
	"stack/runtime/image"
)

// BuildRequest translates a service's `build:`. It touches nothing but the values of
// secrets, which are read where the image is built.
func BuildRequest(p *types.Project, service string, o BuildOptions) (build.Request, error) {
	svc := p.Services[service]
	b := svc.Build
	if b == nil {
		return build.Request{}, errors.New("it has nothing to build")
	}
	q := build.Request{
		Service: service, Context: b.Context, Dockerfile: b.Dockerfile, Inline: b.DockerfileInline, Target: b.Target,
		Labels: maps.Clone(map[string]string(b.Labels)), Contexts: map[string]string{},
		NoCache: b.NoCache || o.NoCache, NoCacheFilter: b.NoCacheFilter, Pull: b.Pull || o.Pull, ShmSize: int64(b.ShmSize),
		Args: map[string]string{},
	}
	for k, v := range b.Args {
		if v != nil {
			q.Args[k] = *v
		}
	}
	maps.Copy(q.Args, o.Args)
	if q.Labels == nil {
		q.Labels = map[string]string{}
	}
	q.Labels["com.docker.compose.project"], q.Labels["com.docker.compose.service"] = p.Name, service
	for _, step := range []func(*build.Request, *types.Project, types.ServiceConfig) error{
		buildTags, buildContexts, buildSecrets, buildNetwork, buildHosts, buildUlimits, buildCaches,
	} {
		if err := step(&q, p, svc); err != nil {
			return q, err
		}
	}
	var err error
	if q.Provenance, err = attestation(cmp.Or(o.Provenance, b.Provenance)); err != nil {
		return q, fmt.Errorf("build.provenance: %w", err)
	}
	if q.SBOM, err = attestation(cmp.Or(o.SBOM, b.SBOM)); err != nil {
		return q, fmt.Errorf("build.sbom: %w", err)
	}
	q.Platforms = buildPlatforms(svc, o.Native)
	for _, k := range append(slices.Clone([]types.SSHKey(b.SSH)), o.SSH...) {
		s := build.SSH{ID: k.ID}
		if k.Path != "" {
			s.Paths = []string{k.Path}
		}
		q.SSH = append(q.SSH, s)
	}
	return q, nil
}

// buildTags are complete, the image's own name first.
func buildTags(q *build.Request, p *types.Project, svc types.ServiceConfig) error {
	for _, name := range append([]string{ImageName(p.Name, svc)}, svc.Build.Tags...) {
		full, ok := image.Complete(name)
		if !ok || strings.Contains(full, "@") {
			return fmt.Errorf("an image that is built cannot be called %q", name)
		}
		if !slices.Contains(q.Tags, full) {
			q.Tags = append(q.Tags, full)
		}
	}
	return nil
}

func serviceContext(where string) (string, bool) {
	return strings.CutPrefix(where, types.ServicePrefix)
}

func buildContexts(q *build.Request, p *types.Project, svc types.ServiceConfig) error {
	for name, where := range svc.Build.AdditionalContexts {
		if base, ok := serviceContext(where); ok {
			if other, known := p.Services[base]; !known || other.Build == nil {
				return fmt.Errorf("additional context %q: service %q is not built", name, base)
			}
			where = build.TargetContext(base)
		} else if strings.HasPrefix(where, "oci-layout://") {
			return fmt.Errorf("additional context %q: load the layout with stack image load, and use docker-image://NAME", name)
		}
		q.Contexts[name] = where
	}
	return nil
}

func buildSecrets(q *build.Request, p *types.Project, svc types.ServiceConfig) error {
	for _, ref := range svc.Build.Secrets {
		conf, ok := p.Secrets[ref.Source]
		if !ok {
			return fmt.Errorf("secret %q is not declared", ref.Source)
		}
		s := build.Secret{ID: ref.Target}
		if s.ID == "" {
			s.ID = ref.Source
		}
		switch {
		case conf.File != "":
			s.File = conf.File
		case conf.Environment != "":
			value, set := p.Environment[conf.Environment]
			if !set {
				return fmt.Errorf("secret %q: the variable %s is not set", ref.Source, conf.Environment)
			}
			s.Value = []byte(value)
		case conf.Content != "":
			s.Value = []byte(conf.Content)
		default:
			return fmt.Errorf("secret %q is neither a file nor a variable", ref.Source)
		}
		q.Secrets = append(q.Secrets, s)
	}
	return nil
}

// buildNetwork also collects what else a file must ask for before a step may have it.
func buildNetwork(q *build.Request, _ *types.Project, svc types.ServiceConfig) error {
	add := func(e string) {
		if !slices.Contains(q.Entitlements, e) {
			q.Entitlements = append(q.Entitlements, e)
		}
	}
	switch mode := svc.Build.Network; mode {
	case "", "default", "bridge":
	case "none":
		q.Network = mode
	case "host":
		q.Network = mode
		add("network.host")
	default:
		return fmt.Errorf("build network %q is not known: want default, none or host", mode)
	}
	if svc.Build.Privileged {
		add("security.insecure")
	}
	for _, e := range svc.Build.Entitlements {
		if e != "network.host" && e != "security.insecure" {
			return fmt.Errorf("entitlement %q is not known: want network.host or security.insecure", e)
		}
		add(e)
	}
	return nil
}

func buildHosts(q *build.Request, _ *types.Project, svc types.ServiceConfig) error {
	for _, host := range slices.Sorted(maps.Keys(svc.Build.ExtraHosts)) {
		for _, address := range svc.Build.ExtraHosts[host] {
			if address == "host-gateway" {
				return fmt.Errorf("extra host %q: host-gateway is not known to builds", host)
			}
			q.ExtraHosts = append(q.ExtraHosts, host+"="+address)
		}
	}
	return nil
}

func buildUlimits(q *build.Request, _ *types.Project, svc types.ServiceConfig) error {
	for _, name := range slices.Sorted(maps.Keys(svc.Build.Ulimits)) {
		u := svc.Build.Ulimits[name]
		soft, hard := u.Soft, u.Hard
		if u.Single != 0 {
			soft, hard = u.Single, u.Single
		}
		q.Ulimits = append(q.Ulimits, fmt.Sprintf("%s=%d:%d", name, soft, hard))
	}
	return nil
}

func buildCaches(q *build.Request, p *types.Project, svc types.ServiceConfig) error {
	for _, c := range []struct {
		to   *[]build.Cache
		from []string
		dir  string // the attribute that is a path
	}{{&q.CacheFrom, svc.Build.CacheFrom, "src"}, {&q.CacheTo, svc.Build.CacheTo, "dest"}} {
		for _, text := range c.from {
			cache, err := parseCache(text)
			if err != nil {
				return err
			}
			if path, ok := cache.Attrs[c.dir]; ok && cache.Type == "local" && !filepath.IsAbs(path) {
				cache.Attrs[c.dir] = filepath.Join(p.WorkingDir, path)
			}
			*c.to = append(*c.to, cache)
		}
	}
	return nil
}

// parseCache reads type=T,KEY=VALUE,…, or the name of an image in a registry.
func parseCache(text string) (build.Cache, error) {
	c := build.Cache{Type: "registry", Attrs: map[string]string{}}
	if !strings.Contains(text, "=") {
		c.Attrs["ref"] = text
		return c, nil
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return c, fmt.Errorf("cannot read cache %q: %w", text, err)
	}
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return c, fmt.Errorf("cannot read cache %q: want KEY=VALUE,…", text)
		}
		if key == "type" {
			c.Type = value
		} else {
			c.Attrs[key] = value
		}
	}
	if !slices.Contains([]string{"registry", "local", "inline"}, c.Type) {
		return c, fmt.Errorf("cache %q: want type=registry, local or inline", text)
	}
	return c, nil
}

// buildPlatforms are those of the file. A container needs one only: its service's, or
// this machine's.
func buildPlatforms(svc types.ServiceConfig, one bool) []string {
	all := svc.Build.Platforms
	switch {
	case svc.Platform != "" && (one || len(all) == 0):
		return []string{svc.Platform}
	case one && len(all) > 1:
		own := slices.IndexFunc(all, func(p string) bool {
			return p == "linux/"+runtime.GOARCH || strings.HasPrefix(p, "linux/"+runtime.GOARCH+"/")
		})
		return all[max(own, 0):][:1]
	}
	return all
}
