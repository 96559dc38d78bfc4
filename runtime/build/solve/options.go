package solve

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/util/staticfs"
	"github.com/tonistiigi/fsutil"
	fstypes "github.com/tonistiigi/fsutil/types"

	"stack/runtime/build"
)

// options translates a request for BuildKit's client.
func options(q build.Request, contexts map[string]string, job build.Job) (client.SolveOpt, error) {
	o := client.SolveOpt{
		Frontend:            "dockerfile.v0",
		FrontendAttrs:       attributes(q),
		LocalMounts:         map[string]fsutil.FS{},
		AllowedEntitlements: q.Entitlements,
		CacheImports:        caches(q.CacheFrom),
		CacheExports:        caches(q.CacheTo),
		Exports:             []client.ExportEntry{{Type: build.Exporter, Attrs: map[string]string{"name": strings.Join(q.Tags, ",")}}},
	}
	if q.Provenance+q.SBOM != "" {
		o.Exports[0].Attrs[build.AttrAttested] = "true"
	}
	if job.Check {
		o.FrontendAttrs["requestid"] = "frontend.lint"
		o.Exports = nil
	}
	for _, step := range []func() error{
		func() error { return setContext(&o, q) },
		func() error { return setDockerfile(&o, q) },
		func() error { return setContexts(&o, contexts) },
		func() (err error) { o.Session, err = attachables(q, job.Machine); return err },
	} {
		if err := step(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func attributes(q build.Request) map[string]string {
	a := map[string]string{}
	set := func(key, value string) {
		if value != "" {
			a[key] = value
		}
	}
	set("target", q.Target)
	set("platform", strings.Join(q.Platforms, ","))
	set("add-hosts", strings.Join(q.ExtraHosts, ","))
	set("ulimit", strings.Join(q.Ulimits, ","))
	for key, value := range map[string]string{"attest:provenance": q.Provenance, "attest:sbom": q.SBOM} {
		if value == build.DefaultAttestation {
			a[key] = ""
		} else {
			set(key, value)
		}
	}
	if q.Network != "" && q.Network != "default" {
		a["force-network-mode"] = q.Network
	}
	if q.ShmSize > 0 {
		a["shm-size"] = strconv.FormatInt(q.ShmSize, 10)
	}
	if q.Pull {
		a["image-resolve-mode"] = "pull"
	}
	if q.NoCache {
		a["no-cache"] = ""
	} else {
		set("no-cache", strings.Join(q.NoCacheFilter, ","))
	}
	for k, v := range q.Args {
		a["build-arg:"+k] = v
	}
	for k, v := range q.Labels {
		a["label:"+k] = v
	}
	return a
}

func caches(in []build.Cache) []client.CacheOptionsEntry {
	var out []client.CacheOptionsEntry
	for _, c := range in {
		out = append(out, client.CacheOptionsEntry{Type: c.Type, Attrs: maps.Clone(c.Attrs)})
	}
	return out
}

// setContext sends a directory, or lets the server fetch an address. The key that
// the server keeps a directory's last state under is the directory's.
func setContext(o *client.SolveOpt, q build.Request) error {
	if build.IsRemote(q.Context) {
		o.FrontendAttrs["context"] = q.Context
		return nil
	}
	dir, err := filepath.Abs(q.Context)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(dir))
	o.SharedKey = hex.EncodeToString(sum[:])
	return local(o, "context", dir)
}

func local(o *client.SolveOpt, name, dir string) error {
	if st, err := os.Stat(dir); err != nil {
		return fmt.Errorf("cannot open build context: %w", err)
	} else if !st.IsDir() {
		return fmt.Errorf("cannot open build context: %s is not a directory", dir)
	}
	fs, err := fsutil.NewFS(dir)
	if err != nil {
		return fmt.Errorf("cannot open build context: %w", err)
	}
	o.LocalMounts[name] = fs
	return nil
}

// setDockerfile sends the Dockerfile, which need not lie in the context, with the
// ignore file beside it.
func setDockerfile(o *client.SolveOpt, q build.Request) error {
	var text []byte
	name := q.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	switch {
	case q.Inline != "":
		text = []byte(q.Inline)
		fs := staticfs.NewFS()
		fs.Add("Dockerfile", &fstypes.Stat{Mode: 0o600}, text)
		o.LocalMounts["dockerfile"] = fs
		o.FrontendAttrs["filename"] = "Dockerfile"
	case build.IsRemote(q.Context) && !filepath.IsAbs(name):
		o.FrontendAttrs["filename"] = name
	default:
		if !filepath.IsAbs(name) {
			name = filepath.Join(q.Context, name)
		}
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return fmt.Errorf("cannot read Dockerfile: %w", err)
		}
		if err := local(o, "dockerfile", filepath.Dir(name)); err != nil {
			return err
		}
		o.FrontendAttrs["filename"] = filepath.Base(name)
	}
	if ownSyntax(text, q.Args["BUILDKIT_SYNTAX"]) {
		o.FrontendAttrs["cmdline"] = "docker/dockerfile" // this is it: nothing is fetched
	}
	return nil
}

// ownSyntax says whether a Dockerfile is in the language that BuildKit has built in.
func ownSyntax(text []byte, arg string) bool {
	ref, _, _, ok := parser.DetectSyntax(text)
	if arg != "" {
		ref, ok = strings.Fields(arg)[0], true
	}
	if !ok {
		return true
	}
	n, err := reference.ParseNormalizedNamed(ref)
	return err == nil && slices.Contains([]string{"docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"}, n.Name())
}

// setContexts adds the named contexts.
func setContexts(o *client.SolveOpt, contexts map[string]string) error {
	for name, where := range contexts {
		if build.IsRemote(where) {
			o.FrontendAttrs["context:"+name] = where
			continue
		}
		if err := local(o, "ctx-"+name, where); err != nil {
			return fmt.Errorf("additional context %q: %w", name, err)
		}
		o.FrontendAttrs["context:"+name] = "local:ctx-" + name
	}
	return nil
}
