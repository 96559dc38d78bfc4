package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/config"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/compression"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/util/progress"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"stack/runtime/build"
	"stack/runtime/image"
)

// imageExporter puts what was built into the image store: the layers' files and
// blobs are linked, so nothing is compressed or unpacked.
type imageExporter struct {
	images  *image.Store
	writer  *containerimage.ImageWriter
	blobs   content.Provider
	content string // the directory of the builder's content store
	leases  *leaseutil.Manager
}

// Resolve implements exporter.Exporter.
func (e *imageExporter) Resolve(_ context.Context, id int, attrs map[string]string) (exporter.ExporterInstance, error) {
	return &imageExport{imageExporter: e, id: id, attrs: attrs}, nil
}

type imageExport struct {
	*imageExporter
	id    int
	attrs map[string]string
}

func (e *imageExport) ID() int                  { return e.id }
func (e *imageExport) Name() string             { return "storing image" }
func (e *imageExport) Type() string             { return build.Exporter }
func (e *imageExport) Attrs() map[string]string { return e.attrs }
func (e *imageExport) Config() *exporter.Config {
	return exporter.NewConfigWithCompression(e.compression())
}

// compression is none: it is done when an image is pushed. Attestations tell about a
// manifest, so where there are some it is the last one already: layers made for it are
// compressed, what was there before goes as it is.
func (e *imageExport) compression() compression.Config {
	if e.attrs[build.AttrAttested] != "" {
		return compression.New(compression.Gzip)
	}
	return compression.New(compression.Uncompressed)
}

// Export implements exporter.ExporterInstance.
func (e *imageExport) Export(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	ctx, done, err := leaseutil.WithLease(ctx, e.leases, leaseutil.MakeTemporary)
	if err != nil {
		return nil, nil, nil, err
	}
	desc, resp, err := e.export(ctx, src, info)
	if err != nil {
		done(context.WithoutCancel(ctx))
		return nil, nil, nil, err
	}
	return resp, nil, containerimage.NewDescriptorReference(desc, done), nil
}

func (e *imageExport) export(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (v1.Descriptor, map[string]string, error) {
	opts := containerimage.ImageCommitOpts{ForceInlineAttestations: true}
	if _, err := opts.Load(ctx, e.attrs); err != nil {
		return v1.Descriptor{}, nil, err
	}
	opts.RefCfg = config.RefConfig{Compression: e.compression()} // Load sets gzip
	opts.SetOCITypesDefault(true)
	opts.SetOCIArtifactDefault(true)
	desc, _, err := e.writer.Commit(ctx, src, info.SessionID, info.InlineCache, &opts, info.CompatibilityVersion, e.Type())
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	layers, err := e.unpacked(ctx, src, session.NewGroup(info.SessionID))
	if err != nil {
		return *desc, nil, err
	}
	var names []string
	if all := e.attrs["name"]; all != "" {
		names = strings.Split(all, ",")
	}
	manifests, err := e.manifests(ctx, *desc)
	if err != nil {
		return *desc, nil, err
	}
	var rec image.Record
	var index *v1.Descriptor
	if !images.IsManifestType(desc.MediaType) {
		index = &v1.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	}
	finish := progress.OneOff(ctx, "naming to "+strings.Join(names, ", "))
	for _, m := range manifests {
		b := image.Built{Manifest: m, Index: index, Names: names, Blob: e.blobPath, Unpacked: func(d digest.Digest) string { return layers[d] }}
		if m.Platform != nil && !platforms.Only(platforms.DefaultSpec()).Match(*m.Platform) {
			b.Platform = platforms.Format(*m.Platform)
		}
		got, err := e.images.Adopt(ctx, b)
		if err != nil {
			return *desc, nil, finish(err)
		}
		if rec.Image.Digest == "" || b.Platform == "" {
			rec = got
		}
	}
	return *desc, map[string]string{
		exptypes.ExporterImageDigestKey:       desc.Digest.String(),
		exptypes.ExporterImageConfigDigestKey: rec.Image.Digest,
	}, finish(nil)
}

// manifests are those of the images in an index, or the only one.
func (e *imageExport) manifests(ctx context.Context, d v1.Descriptor) ([]v1.Descriptor, error) {
	if images.IsManifestType(d.MediaType) {
		return []v1.Descriptor{d}, nil
	}
	data, err := content.ReadBlob(ctx, e.blobs, d)
	if err != nil {
		return nil, err
	}
	var index v1.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("cannot read the index that was built: %w", err)
	}
	var found []v1.Descriptor
	for _, m := range index.Manifests {
		if m.Platform != nil && m.Platform.OS == "unknown" {
			continue // attestations
		}
		found = append(found, v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, Platform: m.Platform})
	}
	return found, nil
}

// blobPath is where containerd's content/local has a blob.
func (e *imageExport) blobPath(d digest.Digest) (string, error) {
	return filepath.Join(e.content, "blobs", d.Algorithm().String(), d.Encoded()), nil
}

func refsOf(src *exporter.Source) []cache.ImmutableRef {
	refs := []cache.ImmutableRef{}
	if src.Ref != nil {
		refs = append(refs, src.Ref)
	}
	for _, ref := range src.Refs {
		if ref != nil {
			refs = append(refs, ref)
		}
	}
	return refs
}

// unpacked finds the directories in which the layers of the result were written.
func (e *imageExport) unpacked(ctx context.Context, src *exporter.Source, g session.Group) (map[digest.Digest]string, error) {
	dirs := map[digest.Digest]string{}
	for _, ref := range refsOf(src) {
		chain := ref.LayerChain()
		err := e.layers(ctx, chain, g, dirs)
		if err := errors.Join(err, chain.Release(context.WithoutCancel(ctx))); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

func (e *imageExport) layers(ctx context.Context, chain cache.RefList, g session.Group, dirs map[digest.Digest]string) error {
	for _, l := range chain {
		diff, err := diffIDOf(ctx, l, g)
		if err != nil {
			return err
		}
		if diff == "" || dirs[diff] != "" {
			continue
		}
		if dirs[diff], err = topOf(ctx, l, g); err != nil {
			return err
		}
	}
	return nil
}

// diffIDOf is the digest of a layer's archive, "" if it has none.
func diffIDOf(ctx context.Context, ref cache.ImmutableRef, g session.Group) (digest.Digest, error) {
	remotes, err := ref.GetRemotes(ctx, false, config.RefConfig{Compression: compression.New(compression.Uncompressed)}, false, g)
	if err != nil || len(remotes) == 0 || len(remotes[0].Descriptors) == 0 {
		return "", err
	}
	all := remotes[0].Descriptors
	return digest.Digest(all[len(all)-1].Annotations["containerd.io/uncompressed"]), nil
}

// topOf is the directory of a snapshot's own changes. Base images need none: they
// are in the store.
func topOf(ctx context.Context, ref cache.ImmutableRef, g session.Group) (string, error) {
	m, err := ref.Mount(ctx, true, g)
	if err != nil {
		return "", err
	}
	mounts, release, err := m.Mount()
	if err != nil {
		return "", err
	}
	dir := topLayer(mounts)
	if release != nil {
		err = release()
	}
	return dir, err
}
