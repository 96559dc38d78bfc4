package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Pusher is a registry that takes images, for complete references.
type Pusher interface {
	// Push uploads a blob or manifest unless it is there; sent tells. open gives the
	// content. from names repositories of the same registry that may have the blob.
	Push(ctx context.Context, ref string, d v1.Descriptor, from []string, open func() (io.ReadCloser, error)) (sent bool, err error)
}

// Push sends an image to the registry that its name says. What was pulled goes out
// byte for byte; layers that lie here without compression are compressed first. It
// returns what the registry has under the name then.
func (s *Store) Push(ctx context.Context, to Pusher, ref string, say func(Progress)) (v1.Descriptor, error) {
	d, err := s.push(ctx, to, ref, oneAtATime(say))
	if err != nil {
		return d, fmt.Errorf("cannot push image %q: %w", ref, err)
	}
	return d, nil
}

func (s *Store) push(ctx context.Context, to Pusher, ref string, say func(Progress)) (v1.Descriptor, error) {
	r, err := parseReference(ref)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if r.scheme != schemeRegistry || r.digest != "" {
		return v1.Descriptor{}, errors.New("a name is wanted, as NAME[:TAG]; `stack image tag` gives one")
	}
	shared, err := s.share(ctx)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer shared.Close()
	rec, err := s.withBlobs(ctx, r.String())
	if err != nil {
		return v1.Descriptor{}, err
	}
	if rec.Image.Ref != r.String() {
		return v1.Descriptor{}, fmt.Errorf("%w under this name", ErrNotFound)
	}
	c, err := s.contents(*rec.Manifest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if c, err = s.compressed(ctx, c, say); err != nil {
		return v1.Descriptor{}, err
	}
	p := &push{s: s, to: to, ref: r, say: say}
	if err := p.send(ctx, c); err != nil {
		return v1.Descriptor{}, err
	}
	rec.Manifest, rec.Target = c.manifest, c.manifest
	return *c.manifest, s.record(ctx, r, rec)
}

type push struct {
	s   *Store
	to  Pusher
	ref reference
	say func(Progress)
}

// send uploads the parts side by side and the manifest last: before, the registry
// shows nothing.
func (p *push) send(ctx context.Context, c contents) error {
	all, err := p.s.List()
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	seen := map[digest.Digest]bool{}
	for _, b := range c.layers {
		if seen[b.digest] {
			continue
		}
		seen[b.digest] = true
		d := v1.Descriptor{MediaType: b.media, Digest: b.digest, Size: b.size}
		from := p.s.repositoriesWith(all, p.ref, b.digest)
		g.Go(func() error { return p.blob(gctx, d, from, newMeter(p.say, shortDigest(d.Digest), d.Size)) })
	}
	config := v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(c.config), Size: int64(len(c.config))}
	g.Go(func() error { return p.blob(gctx, config, nil, nil) })
	if err := g.Wait(); err != nil {
		return err
	}
	return p.blob(ctx, *c.manifest, nil, nil)
}

func (p *push) blob(ctx context.Context, d v1.Descriptor, from []string, m *meter) error {
	m.begin("Preparing")
	sent, err := p.to.Push(ctx, p.ref.String(), d, from, func() (io.ReadCloser, error) {
		m.begin("Pushing")
		f, err := os.Open(p.s.blobPath(d.Digest))
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{m.reader(f), f}, nil
	})
	switch {
	case err != nil:
		return err
	case sent:
		m.end("Pushed")
	default:
		m.end("Layer already exists")
	}
	return nil
}

// repositoriesWith names other repositories of r's registry that are known to have
// a layer.
func (s *Store) repositoriesWith(all []Record, r reference, layer digest.Digest) []string {
	host, _, _ := strings.Cut(r.path, "/")
	var out []string
	for _, rec := range all {
		own, err := parseReference(rec.Image.Ref)
		name, ok := strings.CutPrefix(own.path, host+"/")
		if err != nil || rec.Target == nil || rec.Manifest == nil || !ok || own.path == r.path || slices.Contains(out, name) {
			continue
		}
		c, err := s.contents(*rec.Manifest)
		if err == nil && slices.ContainsFunc(c.layers, func(b blob) bool { return b.digest == layer }) {
			out = append(out, name)
		}
	}
	return out
}

// compressed gives the image with all layers compressed, under another manifest if
// one was not.
func (s *Store) compressed(ctx context.Context, c contents, say func(Progress)) (contents, error) {
	changed := false
	for i, b := range c.layers {
		if !isPlain(b.media) {
			continue
		}
		changed = true
		m := newMeter(say, shortDigest(b.digest), b.size)
		m.begin("Compressing")
		d, err := s.compress(ctx, b.digest, m)
		if err != nil {
			return c, fmt.Errorf("cannot compress layer %s: %w", b.digest, err)
		}
		name, err := blobName(d.Digest)
		if err != nil {
			return c, err
		}
		c.layers[i] = blob{name: name, digest: d.Digest, size: d.Size, media: d.MediaType, files: b.files}
	}
	if !changed {
		return c, nil
	}
	d, err := s.addManifest(ctx, c)
	c.manifest = &d
	return c, err
}

func isPlain(mediaType string) bool { return strings.HasSuffix(mediaType, ".tar") }

// compress stores a layer anew, with gzip. The same layer gives the same bytes.
func (s *Store) compress(ctx context.Context, layer digest.Digest, m *meter) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip}
	f, err := os.Open(s.blobPath(layer))
	if err != nil {
		return d, err
	}
	defer f.Close()
	tmp, err := os.CreateTemp(filepath.Join(s.dir, "tmp"), "gzip-")
	if err != nil {
		return d, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	sum := digest.SHA256.Digester()
	z := gzip.NewWriter(io.MultiWriter(tmp, sum.Hash()))
	if _, err = io.Copy(z, m.reader(&bounded{ctx: ctx, r: f, left: s.Limits.Bytes})); err == nil {
		err = z.Close()
	}
	if err != nil {
		return d, err
	}
	if d.Size, err = tmp.Seek(0, io.SeekCurrent); err != nil {
		return d, err
	}
	d.Digest = sum.Digest()
	final := s.blobPath(d.Digest)
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return d, err
	}
	return d, os.Rename(tmp.Name(), final)
}
