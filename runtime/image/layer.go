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

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// parallelUnpacks is how many layers of one image are unpacked at a time.
const parallelUnpacks = 4

// layer is one layer on its way into the store.
type layer struct {
	diff, chain digest.Digest
	blob        blob
	scratch     string   // where it is unpacked; "" if it was there
	implied     []string // see Applied.Implied
	meter       *meter
}

// ingest unpacks the layers that are not in the store yet and records the image.
func (s *Store) ingest(ctx context.Context, r reference, c contents) (Image, error) {
	rec, err := s.unpackImage(ctx, c)
	if err != nil {
		return Image{}, err
	}
	rec.Manifest = nil // its blobs stay where they are
	if err := s.record(ctx, r, rec); err != nil {
		return Image{}, err
	}
	return rec.Image, nil
}

// unpackImage makes sure of an image's layers and describes it.
func (s *Store) unpackImage(ctx context.Context, c contents) (Record, error) {
	conf, err := parseConfig(c.config)
	if err != nil {
		return Record{}, err
	}
	if len(conf.RootFS.DiffIDs) != len(c.layers) {
		return Record{}, fmt.Errorf("the image has %d layers, but its configuration names %d", len(c.layers), len(conf.RootFS.DiffIDs))
	}
	dirs, err := s.ensureLayers(ctx, makeLayers(conf.RootFS.DiffIDs, c.layers))
	if err != nil {
		return Record{}, err
	}
	rec := conf.record(conf.image(c.config, dirs))
	rec.Manifest = c.manifest
	return rec, nil
}

// makeLayers computes the chain IDs: see "Layer ChainID" in the OCI config.md. Of a
// layer that occurs twice the topmost is kept: the lower one adds nothing, and
// overlayfs refuses to show one directory twice.
func makeLayers(diffs []digest.Digest, blobs []blob) []*layer {
	var layers []*layer
	chain := digest.Digest("")
	for i, diff := range diffs {
		chain = nextChain(chain, diff)
		if slices.Contains(diffs[i+1:], diff) {
			continue
		}
		layers = append(layers, &layer{diff: diff, chain: chain, blob: blobs[i], meter: blobs[i].meter})
	}
	return layers
}

// nextChain is the chain ID of a layer over those of the chain below it.
func nextChain(below, diff digest.Digest) digest.Digest {
	if below == "" {
		return diff
	}
	return digest.FromString(below.String() + " " + diff.String())
}

func layerName(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

func (l *layer) chainName() string { return "chain-" + l.chain.Encoded() }

func (s *Store) layerDir(name string) string { return filepath.Join(s.dir, "layers", name) }

// find gives the directory of a layer that is in the store, or "".
func (s *Store) find(l *layer) (string, error) {
	for _, name := range []string{layerName(l.diff), l.chainName()} {
		dir := s.layerDir(name)
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

// missing lists the layers that are not in the store.
func (s *Store) missing(layers []*layer) ([]*layer, error) {
	var absent []*layer
	for _, l := range layers {
		dir, err := s.find(l)
		if err != nil {
			return nil, err
		}
		if dir == "" {
			absent = append(absent, l)
		}
	}
	return absent, nil
}

// ensureLayers gives the layers' directories, the lowest first.
func (s *Store) ensureLayers(ctx context.Context, layers []*layer) ([]string, error) {
	if len(layers) == 0 {
		return s.emptyLayer(ctx)
	}
	absent, err := s.missing(layers)
	if err == nil && len(absent) > 0 {
		err = s.unpackMissing(ctx, layers, absent)
	}
	if err != nil {
		return nil, err
	}
	dirs := make([]string, len(layers))
	for i, l := range layers {
		if dirs[i], err = s.find(l); err != nil {
			return nil, err
		}
		if dirs[i] == "" {
			return nil, fmt.Errorf("layer %s vanished from the store", l.diff)
		}
	}
	return dirs, nil
}

// unpackMissing takes the locks of all absent layers, in one order for every
// process so that none waits in a circle, and unpacks what is absent still. A layer
// is free for others as soon as it and those below it are in place.
func (s *Store) unpackMissing(ctx context.Context, layers, absent []*layer) error {
	slices.SortFunc(absent, func(a, b *layer) int { return strings.Compare(string(a.diff), string(b.diff)) })
	held := map[*layer]io.Closer{}
	defer func() {
		for _, lock := range held {
			lock.Close()
		}
	}()
	for _, l := range absent {
		lock, err := s.layerLock(ctx, layerName(l.diff))
		if err != nil {
			return err
		}
		held[l] = lock
	}
	absent, err := s.missing(layers) // the lowest first, as their blobs come
	if err != nil {
		return err
	}
	err = s.unpackAll(ctx, layers, absent, func(l *layer) {
		if held[l] != nil {
			held[l].Close()
			delete(held, l)
		}
	})
	for _, l := range absent {
		err = errors.Join(err, removeTree(l.scratch)) // "" once adopted
	}
	return err
}

// unpackAll unpacks the absent layers side by side and places each when those
// below it are in place; done is told.
func (s *Store) unpackAll(ctx context.Context, layers, absent []*layer, done func(*layer)) error {
	ready := map[*layer]chan struct{}{}
	for _, l := range absent {
		ready[l] = make(chan struct{})
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelUnpacks + 1)
	g.Go(func() error { return s.adopt(gctx, layers, ready, done) })
	for _, l := range absent {
		g.Go(func() error {
			if err := s.unpack(gctx, l); err != nil {
				return fmt.Errorf("cannot unpack layer %s: %w", l.diff, err)
			}
			close(ready[l])
			return nil
		})
	}
	return g.Wait()
}

// unpack applies a layer in its scratch directory and checks both digests.
func (s *Store) unpack(ctx context.Context, l *layer) error {
	var err error
	if l.scratch, err = s.scratch(layerName(l.diff)); err != nil {
		return err
	}
	s.log.Debug("unpacking layer", "layer", l.diff, "from", l.blob.name)
	f, err := l.blob.files.open(l.blob.name)
	if err != nil {
		return err
	}
	defer f.Close()
	l.meter.begin("Extracting")
	want := l.blob.digest
	if l.blob.stored {
		want = "" // the check of diff finds what went wrong since
	}
	stored := newCheck(l.meter.reader(f), want)
	plain, _, err := decompress(stored)
	if err != nil {
		return err
	}
	defer plain.Close()
	content := newCheck(plain, l.diff)
	done, err := Apply(ctx, l.scratch, content, s.Limits)
	if err != nil {
		return err
	}
	if len(done.Skipped) > 0 {
		s.log.Warn("device nodes of the image were left out, this user may not make them", "layer", l.diff, "files", done.Skipped)
	}
	l.implied = done.Implied
	if err := content.finish(ctx, s.Limits.Bytes); err != nil {
		return err
	}
	if err := stored.finish(ctx, s.Limits.Bytes); err != nil {
		return err
	}
	l.meter.end("Pull complete")
	return nil
}

// check computes the digest of everything that is read through it.
type check struct {
	io.Reader
	want     digest.Digest
	verifier digest.Verifier
}

func newCheck(r io.Reader, want digest.Digest) *check {
	if want == "" {
		return &check{Reader: r}
	}
	v := want.Verifier()
	return &check{Reader: io.TeeReader(r, v), want: want, verifier: v}
}

// finish reads what is left and compares.
func (c *check) finish(ctx context.Context, limit int64) error {
	if _, err := io.Copy(io.Discard, &bounded{ctx: ctx, r: c.Reader, left: limit}); err != nil {
		return err
	}
	if c.verifier != nil && !c.verifier.Verified() {
		return fmt.Errorf("the content does not match the digest %s", c.want)
	}
	return nil
}

// adopt moves unpacked layers to their places, the lowest first: directories that
// a layer implies look as in the layers below it.
func (s *Store) adopt(ctx context.Context, layers []*layer, ready map[*layer]chan struct{}, done func(*layer)) error {
	var below []string // the topmost first
	for _, l := range layers {
		if c, ok := ready[l]; ok {
			select {
			case <-c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		dir, err := s.find(l)
		if err != nil {
			return err
		}
		if dir == "" {
			dir, err = s.place(l, below)
		} else {
			err = removeTree(l.scratch)
		}
		if err != nil {
			return fmt.Errorf("cannot store layer %s: %w", l.diff, err)
		}
		l.scratch = "" // its name is the next one's who takes the lock
		done(l)
		below = append([]string{dir}, below...)
	}
	return nil
}

func (s *Store) place(l *layer, below []string) (string, error) {
	name := layerName(l.diff)
	if len(l.implied) > 0 {
		name = l.chainName()
		if err := inheritDirectories(l.scratch, l.implied, below); err != nil {
			return "", err
		}
	}
	dir := s.layerDir(name)
	return dir, os.Rename(l.scratch, dir)
}

// emptyLayer is all that an image without layers shows.
func (s *Store) emptyLayer(ctx context.Context) ([]string, error) {
	dir := s.layerDir("empty")
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return []string{dir}, errors.Join(err, ctx.Err())
}
