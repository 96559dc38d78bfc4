package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// parallelDownloads is how many layers of one image are fetched at a time.
const parallelDownloads = 4

// Remote is a registry, for complete references.
type Remote interface {
	// Resolve asks what a reference means now.
	Resolve(ctx context.Context, ref string) (v1.Descriptor, error)
	// Fetch reads a blob or manifest of the reference's repository from offset on.
	Fetch(ctx context.Context, ref string, d v1.Descriptor, offset int64) (io.ReadCloser, error)
}

// PullOptions say how an image is pulled.
type PullOptions struct {
	// Platform is OS/ARCH[/VARIANT]; "" is this machine's.
	Platform string
	// Progress is told of each layer, one call at a time. It must return at once.
	Progress func(Progress)
}

// Pull fetches and unpacks what a registry has under a reference now. fresh says
// whether that is another image than before. Killed at any moment, it leaves what
// was fetched for the next try and nothing under the reference.
func (s *Store) Pull(ctx context.Context, from Remote, ref string, o PullOptions) (rec Record, fresh bool, err error) {
	o.Progress = oneAtATime(o.Progress)
	p := &pull{s: s, from: from, o: o}
	if rec, fresh, err = p.run(ctx, ref); err != nil {
		return rec, false, fmt.Errorf("cannot pull image %q: %w", ref, err)
	}
	return rec, fresh, nil
}

type pull struct {
	s    *Store
	from Remote
	o    PullOptions

	ref      string // complete
	platform v1.Platform
	waits    map[string]*wait
}

// wait is a layer's blob under way.
type wait struct {
	done chan struct{}
	err  error
}

func (p *pull) run(ctx context.Context, ref string) (Record, bool, error) {
	r, err := parseReference(ref)
	if err != nil {
		return Record{}, false, err
	}
	if r.scheme != schemeRegistry {
		return Record{}, false, errors.New("it does not come from a registry")
	}
	p.ref = r.String()
	if p.platform, err = parsePlatform(p.o.Platform); err != nil {
		return Record{}, false, err
	}
	shared, err := p.s.share(ctx)
	if err != nil {
		return Record{}, false, err
	}
	defer shared.Close()
	target, err := p.from.Resolve(ctx, p.ref)
	if err != nil {
		return Record{}, false, err
	}
	if r.digest != "" && target.Digest != r.digest {
		return Record{}, false, fmt.Errorf("the registry answers with the digest %s", target.Digest)
	}
	old := p.known(r)
	rec, err := p.fetch(ctx, target, old)
	if err != nil {
		return Record{}, false, err
	}
	rec.Target = &target
	if rec.Index == nil {
		rec.Index = p.whole(ctx, target, rec)
	}
	if !isNative(p.platform) {
		rec.Platform = platforms.Format(p.platform)
	}
	if err := p.s.record(ctx, r, rec); err != nil {
		return Record{}, false, err
	}
	rec.Image.Ref = p.ref
	return rec, old.Image.Digest != rec.Image.Digest, nil
}

// known is the record that the pull will replace.
func (p *pull) known(r reference) Record {
	key := Record{Image: Image{Ref: r.String()}}
	if !isNative(p.platform) {
		key.Platform = platforms.Format(p.platform)
	}
	var old Record
	if err := readJSON(p.s.recordName(key.key()), &old); err != nil {
		return Record{}
	}
	return old
}

// fetch brings everything of the image that the target is or leads to.
func (p *pull) fetch(ctx context.Context, target v1.Descriptor, old Record) (Record, error) {
	if old.Target != nil && old.Target.Digest == target.Digest && old.complete() && p.s.hasAll(old) {
		return old, nil
	}
	m, err := p.manifest(ctx, target)
	if err != nil {
		return Record{}, err
	}
	if err := p.s.putBlob(ctx, *m.Config, p.source(*m.Config), nil); err != nil {
		return Record{}, err
	}
	c, err := p.s.readStored(m)
	if err != nil {
		return Record{}, err
	}
	rec, err := p.layers(ctx, c)
	if err != nil && ctx.Err() == nil {
		spoilt, cerr := p.s.dropSpoilt(ctx, c)
		if cerr != nil {
			return rec, errors.Join(err, cerr)
		}
		if spoilt {
			rec, err = p.layers(ctx, c)
		}
	}
	if err != nil {
		return rec, err
	}
	if p.o.Platform != "" && !rec.fits(p.platform) {
		return rec, fmt.Errorf("%w: there is only one for %s/%s", ErrNotFound, rec.OS, rec.Architecture)
	}
	return rec, nil
}

// layers fetches and unpacks, each layer as soon as it is there.
func (p *pull) layers(ctx context.Context, c contents) (Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	downloads := p.download(ctx, c)
	rec, err := p.s.unpackImage(ctx, c)
	if err != nil {
		cancel()
		if other := downloads(); other != nil && !errors.Is(other, context.Canceled) {
			return rec, other // the cause
		}
		return rec, err
	}
	return rec, downloads()
}

// dropSpoilt forgets layers whose stored content is not what it was when they were
// fetched: a power failure may do that.
func (s *Store) dropSpoilt(ctx context.Context, c contents) (bool, error) {
	found := false
	for _, b := range c.layers {
		f, err := os.Open(s.blobPath(b.digest))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return found, err
		}
		v := b.digest.Verifier()
		_, err = io.Copy(v, &bounded{ctx: ctx, r: f, left: b.size})
		f.Close()
		if err == nil && v.Verified() {
			continue
		}
		if err := s.dropBlob(b.digest); err != nil {
			return found, err
		}
		found = true
	}
	return found, nil
}

// hasAll says whether every blob of a record is there.
func (s *Store) hasAll(rec Record) bool {
	if rec.Manifest == nil || !s.hasBlob(*rec.Manifest) {
		return false
	}
	c, err := s.contents(*rec.Manifest)
	if err != nil {
		return false
	}
	for _, b := range c.layers {
		if !s.hasBlob(v1.Descriptor{Digest: b.digest, Size: b.size}) {
			return false
		}
	}
	return true
}

// manifest fetches target, and what indexes lead to, down to the manifest for the
// platform.
func (p *pull) manifest(ctx context.Context, target v1.Descriptor) (manifestFile, error) {
	fetch := func(d v1.Descriptor) ([]byte, error) { return p.small(ctx, d) }
	m, err := followIndexes(fetch, target, p.platform, 0)
	if err == nil && m.Config.Size > maxJSON {
		err = fmt.Errorf("%w: the configuration is larger than %d bytes", ErrHostile, maxJSON)
	}
	return m, err
}

// small fetches a manifest or an index.
func (p *pull) small(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	if d.Size > maxJSON {
		return nil, fmt.Errorf("%w: the manifest is larger than %d bytes", ErrHostile, maxJSON)
	}
	if err := p.s.putBlob(ctx, d, p.source(d), nil); err != nil {
		return nil, err
	}
	return readBlob(directory(p.s.dir), d.Digest)
}

func (p *pull) source(d v1.Descriptor) source {
	return func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		return p.from.Fetch(ctx, p.ref, d, offset)
	}
}

// download starts to fetch the layers, the lowest first; c's blobs wait for them.
// The function that it returns waits for all.
func (p *pull) download(ctx context.Context, c contents) func() error {
	p.waits = map[string]*wait{}
	var todo []blob
	for i := range c.layers {
		b := &c.layers[i]
		b.files = p
		if p.waits[b.name] != nil {
			continue // the same layer twice
		}
		b.meter = newMeter(p.o.Progress, shortDigest(b.digest), b.size)
		p.waits[b.name] = &wait{done: make(chan struct{})}
		b.meter.begin("Waiting")
		todo = append(todo, *b)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	all := make(chan error, 1)
	go func() {
		for _, b := range todo {
			g.Go(func() error {
				w := p.waits[b.name]
				defer close(w.done)
				w.err = p.layer(gctx, b)
				return w.err
			})
		}
		all <- g.Wait()
	}()
	return func() error { return <-all }
}

func (p *pull) layer(ctx context.Context, b blob) error {
	d := v1.Descriptor{MediaType: b.media, Digest: b.digest, Size: b.size}
	if p.s.hasBlob(d) {
		b.meter.end("Already exists")
		return nil
	}
	b.meter.begin("Downloading")
	if err := p.s.putBlob(ctx, d, p.source(d), b.meter); err != nil {
		return fmt.Errorf("cannot fetch layer %s: %w", b.digest, err)
	}
	b.meter.end("Download complete")
	return nil
}

// open implements files for layers under way.
func (p *pull) open(name string) (io.ReadCloser, error) {
	w := p.waits[name]
	<-w.done
	if w.err != nil {
		return nil, w.err
	}
	return directory(p.s.dir).open(name)
}

// shortDigest is what people see of a layer.
func shortDigest(d digest.Digest) string {
	hex := d.Encoded()
	return hex[:min(12, len(hex))]
}

var _ files = (*pull)(nil)
