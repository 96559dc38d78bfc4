package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	all, err := s.branchOf(rec)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if all, err = s.compressed(ctx, all, &rec, say); err != nil {
		return v1.Descriptor{}, err
	}
	p := &push{s: s, to: to, ref: r, say: say}
	if err := p.send(ctx, all); err != nil {
		return v1.Descriptor{}, err
	}
	rec.Target = &all.self
	if rec.Index = nil; isIndex(all.self) {
		rec.Index = &all.self
	}
	return all.self, s.record(ctx, r, rec)
}

// branchOf is what goes out of an image: the whole index that it is part of, if it is
// here, or else its own manifest.
func (s *Store) branchOf(rec Record) (*branch, error) {
	if rec.Index != nil {
		b, err := s.readIndex(*rec.Index)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: a part of its index is gone; pull or build it again", ErrNotFound)
		}
		return b, err
	}
	if rec.Target != nil && isIndex(*rec.Target) {
		b, err := s.readIndex(*rec.Target)
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return s.readIndex(*rec.Manifest)
}

type push struct {
	s   *Store
	to  Pusher
	ref reference
	say func(Progress)
}

// send uploads the blobs side by side, then the manifests and the topmost last:
// before, the registry shows nothing.
func (p *push) send(ctx context.Context, b *branch) error {
	all, err := p.s.List()
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, d := range b.allBlobs() {
		if !isLayer(d.MediaType) {
			g.Go(func() error { return p.blob(gctx, d, nil, nil) })
			continue
		}
		from := p.s.repositoriesWith(all, p.ref, d.Digest)
		g.Go(func() error { return p.blob(gctx, d, from, newMeter(p.say, shortDigest(d.Digest), d.Size)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return b.each(func(c *branch) error {
		if c == b {
			return p.blob(ctx, c.self, nil, nil)
		}
		part := *p // the name is the topmost's alone
		part.ref.tag, part.ref.digest = "", c.self.Digest
		return part.blob(ctx, c.self, nil, nil)
	})
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
