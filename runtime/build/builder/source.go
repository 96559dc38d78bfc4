package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/moby/buildkit/source/containerimage"
	srctypes "github.com/moby/buildkit/source/types"
	"github.com/moby/buildkit/util/progress"
	"github.com/moby/buildkit/util/resolver"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/image"
)

// imageSource gives builds the images that FROM and COPY --from name, out of the
// image store. What is not there, or is to be asked for again, is pulled into it.
type imageSource struct {
	images  *image.Store
	applier *applier
	blobs   content.Provider
	cache   cache.Accessor
	// remote is a registry, for whoever the credentials are of.
	remote func(credentials func(host string) (user, secret string, err error)) (image.Remote, error)

	parser  *containerimage.Source // for its identifiers
	pulling sync.Mutex             // one pull at a time: each has layers side by side
}

// Schemes implements source.Source.
func (s *imageSource) Schemes() []string { return []string{srctypes.DockerImageScheme} }

// Identifier implements source.Source.
func (s *imageSource) Identifier(scheme, ref string, attrs map[string]string, p *pb.Platform) (source.Identifier, error) {
	return s.parser.Identifier(scheme, ref, attrs, p)
}

// Resolve implements source.Source.
func (s *imageSource) Resolve(_ context.Context, id source.Identifier, sm *session.Manager, _ solver.Vertex) (source.SourceInstance, error) {
	named, ok := id.(*containerimage.ImageIdentifier)
	if !ok {
		return nil, fmt.Errorf("%v is not an image", id)
	}
	platform := platforms.DefaultSpec()
	if named.Platform != nil {
		platform = *named.Platform
	}
	return &baseImage{source: s, id: named, platform: platform, sessions: sm}, nil
}

// metadata answers what a Dockerfile must know of an image before it is built on.
func (s *imageSource) metadata(ctx context.Context, id *containerimage.ImageIdentifier, opt *sourceresolver.ResolveImageOpt, sm *session.Manager, g session.Group) (*sourceresolver.ResolveImageResponse, error) {
	platform := platforms.DefaultSpec()
	if opt.Platform != nil {
		platform = *opt.Platform
	}
	mode, err := resolver.ParseImageResolveMode(opt.ResolveMode)
	if err != nil {
		return nil, err
	}
	base, err := s.base(ctx, id.Reference.String(), platform, mode, sm, g)
	if err != nil {
		return nil, err
	}
	return &sourceresolver.ResolveImageResponse{Digest: base.Digest, Config: base.Config}, nil
}

// base finds an image in the store, or pulls it.
func (s *imageSource) base(ctx context.Context, ref string, p v1.Platform, mode resolver.ResolveMode, sm *session.Manager, g session.Group) (image.Base, error) {
	platform := ""
	if p.OS != "" && (p.OS != "linux" || p.Architecture != runtime.GOARCH) {
		platform = platforms.Format(p)
	}
	if mode != resolver.ResolveModeForcePull {
		if base, ok, err := s.local(ref, platform); ok || err != nil {
			return base, err
		}
	}
	s.pulling.Lock()
	defer s.pulling.Unlock()
	if mode != resolver.ResolveModeForcePull { // another build may have pulled it
		if base, ok, err := s.local(ref, platform); ok || err != nil {
			return base, err
		}
	}
	rec, err := s.pull(ctx, ref, platform, sm, g)
	if err != nil {
		return image.Base{}, err
	}
	base, err := s.images.Base(rec)
	if err == nil {
		s.applier.note(base)
	}
	return base, err
}

func (s *imageSource) local(ref, platform string) (image.Base, bool, error) {
	all, err := s.images.List()
	if err != nil {
		return image.Base{}, false, err
	}
	rec, ok := image.FindFor(all, ref, platform)
	if !ok {
		return image.Base{}, false, nil
	}
	base, err := s.images.Base(rec)
	if err != nil {
		return base, false, nil // without blobs it is as good as not there
	}
	s.applier.note(base)
	return base, true, nil
}

// pull fetches an image with the passwords of who builds.
func (s *imageSource) pull(ctx context.Context, ref, platform string, sm *session.Manager, g session.Group) (image.Record, error) {
	lookup := auth.CredentialsFunc(ctx, sm, g)
	remote, err := s.remote(func(host string) (string, string, error) {
		_, user, secret, err := lookup(host)
		return user, secret, err
	})
	if err != nil {
		return image.Record{}, err
	}
	done := progress.OneOff(ctx, "pull "+ref)
	say, end := layerProgress(ctx)
	defer end()
	rec, _, err := s.images.Pull(ctx, remote, ref, image.PullOptions{Platform: platform, Progress: say})
	return rec, done(err)
}

// baseImage is one image at the bottom of a build.
type baseImage struct {
	source   *imageSource
	id       *containerimage.ImageIdentifier
	platform v1.Platform
	sessions *session.Manager

	mu   sync.Mutex
	base *image.Base
}

func (i *baseImage) resolve(ctx context.Context, jobs solver.JobContext) (image.Base, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.base != nil {
		return *i.base, nil
	}
	var g session.Group
	if jobs != nil {
		g = jobs.Session()
	}
	mode := i.id.ResolveMode
	if i.id.Reference.Digest() != "" { // asked for already, with the configuration
		mode = resolver.ResolveModePreferLocal
	}
	base, err := i.source.base(ctx, i.id.Reference.String(), i.platform, mode, i.sessions, g)
	if err != nil {
		return base, err
	}
	if i.id.Checksum != "" && i.id.Checksum != base.Digest {
		return base, fmt.Errorf("image %s has the digest %s, not %s", i.id.Reference, base.Digest, i.id.Checksum)
	}
	i.base = &base
	return base, nil
}

// CacheKey implements source.SourceInstance: an image is its layers.
func (i *baseImage) CacheKey(ctx context.Context, jobs solver.JobContext, _ int) (string, string, solver.CacheOpts, bool, error) {
	base, err := i.resolve(ctx, jobs)
	if err != nil {
		return "", "", nil, false, err
	}
	key, err := json.Marshal(struct {
		Image    digest.Digest
		Platform string
	}{base.Digest, platforms.Format(i.platform)})
	if err != nil {
		return "", "", nil, false, err
	}
	opts := solver.CacheOpts{}
	for d, h := range i.handlers(base) {
		opts[cache.DescHandlerKey(d)] = h
	}
	return digest.FromBytes(key).String(), base.Digest.String(), opts, true, nil
}

// handlers tell the cache where blobs come from.
func (i *baseImage) handlers(base image.Base) cache.DescHandlers {
	all := cache.DescHandlers{}
	for _, l := range base.Layers {
		all[l.Blob.Digest] = &cache.DescHandler{
			Provider: func(session.Group) content.Provider { return i.source.blobs },
			Ref:      i.id.Reference.String(),
		}
	}
	return all
}

// Snapshot implements source.SourceInstance.
func (i *baseImage) Snapshot(ctx context.Context, jobs solver.JobContext) (cache.ImmutableRef, error) {
	base, err := i.resolve(ctx, jobs)
	if err != nil {
		return nil, err
	}
	handlers := i.handlers(base)
	var top cache.ImmutableRef
	for _, l := range base.Layers {
		d := l.Blob
		d.Annotations = map[string]string{labels.LabelUncompressed: l.DiffID.String()}
		next, err := i.source.cache.GetByBlob(ctx, d, top, handlers, cache.WithImageRef(i.id.Reference.String()))
		if top != nil {
			top.Release(context.WithoutCancel(ctx))
		}
		if err != nil {
			return nil, err
		}
		top = next
	}
	if top != nil && i.id.RecordType != "" && top.GetRecordType() == "" {
		if err := top.SetRecordType(i.id.RecordType); err != nil {
			top.Release(context.WithoutCancel(ctx))
			return nil, err
		}
	}
	return top, nil
}
