package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

// Base is an image as a build starts from it.
type Base struct {
	// Digest is what the image is known by beside its name: that of the registry's
	// index or manifest, or the manifest's own.
	Digest digest.Digest
	Config []byte
	Layers []BaseLayer // the lowest first, as the manifest has them
}

// BaseLayer is one layer of a Base.
type BaseLayer struct {
	Blob   v1.Descriptor
	DiffID digest.Digest
	Chain  digest.Digest // of it and the layers below
}

// Base describes the image of a record. Errors: ErrNotFound for one whose blobs are
// not here.
func (s *Store) Base(rec Record) (Base, error) {
	if rec.Manifest == nil || !s.hasAll(rec) {
		return Base{}, fmt.Errorf("%w: %s is kept without its blobs", ErrNotFound, rec.Image.Ref)
	}
	c, err := s.contents(*rec.Manifest)
	if err != nil {
		return Base{}, err
	}
	conf, err := parseConfig(c.config)
	if err != nil {
		return Base{}, err
	}
	if len(conf.RootFS.DiffIDs) != len(c.layers) {
		return Base{}, fmt.Errorf("the image has %d layers, but its configuration names %d", len(c.layers), len(conf.RootFS.DiffIDs))
	}
	b := Base{Digest: rec.Manifest.Digest, Config: c.config}
	if rec.Target != nil {
		b.Digest = rec.Target.Digest
	}
	chain := digest.Digest("")
	for i, l := range c.layers {
		diff := conf.RootFS.DiffIDs[i]
		if chain = nextChain(chain, diff); l.size <= 0 {
			return Base{}, fmt.Errorf("layer %s is empty", l.digest)
		}
		b.Layers = append(b.Layers, BaseLayer{Blob: v1.Descriptor{MediaType: l.media, Digest: l.digest, Size: l.size}, DiffID: diff, Chain: chain})
	}
	return b, nil
}

// Unpacked gives the directory of a layer that is in the store, "" for none.
func (s *Store) Unpacked(diff, chain digest.Digest) (string, error) {
	return s.find(&layer{diff: diff, chain: chain})
}

// OpenBlob opens a blob; fs.ErrNotExist for none.
func (s *Store) OpenBlob(d digest.Digest) (*os.File, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return os.Open(s.blobPath(d))
}

// Hold keeps others from removing anything until it is closed.
func (s *Store) Hold(ctx context.Context) (io.Closer, error) { return s.share(ctx) }

// Built is an image that a builder on the same file system has made.
type Built struct {
	Manifest v1.Descriptor
	Index    *v1.Descriptor // what the manifest is part of, nil for nothing
	Names    []string       // complete references; none: it is known by its digest
	Platform string         // as in Record, for an image of a foreign platform
	// Blob gives the path of a blob of the image.
	Blob func(digest.Digest) (string, error)
	// Unpacked gives the directory of a layer in overlayfs' form, "" for none. Its
	// files are linked, never written.
	Unpacked func(diff digest.Digest) string
}

// Adopt takes a built image in: its files are linked, not copied or unpacked again.
func (s *Store) Adopt(ctx context.Context, b Built) (Record, error) {
	rec, err := s.adoptBuilt(ctx, b)
	if err != nil {
		return rec, fmt.Errorf("cannot store the built image: %w", err)
	}
	return rec, nil
}

func (s *Store) adoptBuilt(ctx context.Context, b Built) (Record, error) {
	shared, err := s.share(ctx)
	if err != nil {
		return Record{}, err
	}
	defer shared.Close()
	c, err := s.linkBlobs(ctx, b)
	if err == nil {
		err = s.linkIndex(ctx, b)
	}
	if err != nil {
		return Record{}, err
	}
	conf, err := parseConfig(c.config)
	if err != nil {
		return Record{}, err
	}
	for _, l := range makeLayers(conf.RootFS.DiffIDs, c.layers) {
		if err := s.linkLayer(ctx, l, b.Unpacked(l.diff)); err != nil {
			return Record{}, fmt.Errorf("layer %s: %w", l.diff, err)
		}
	}
	rec, err := s.unpackImage(ctx, c) // what the builder has not unpacked either
	if err != nil {
		return rec, err
	}
	rec.Platform, rec.Index = b.Platform, b.Index
	if len(b.Names) == 0 {
		b.Names = []string{rec.Image.Digest}
	}
	for _, name := range b.Names {
		r, err := parseReference(name)
		if err != nil {
			return rec, err
		}
		if err := s.record(ctx, r, rec); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

// linkBlobs brings everything that the manifest names.
func (s *Store) linkBlobs(ctx context.Context, b Built) (contents, error) {
	if err := s.linkBlob(ctx, b.Manifest, b.Blob); err != nil {
		return contents{}, err
	}
	data, err := readBlob(directory(s.dir), b.Manifest.Digest)
	if err != nil {
		return contents{}, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return contents{}, err
	}
	if m.Config == nil {
		return contents{}, fmt.Errorf("%s is not an image's manifest", b.Manifest.Digest)
	}
	for _, d := range append(m.Layers, *m.Config) {
		if err := s.linkBlob(ctx, d, b.Blob); err != nil {
			return contents{}, err
		}
	}
	m.self = b.Manifest
	return s.readStored(m)
}

// linkIndex brings the index with all that it leads to.
func (s *Store) linkIndex(ctx context.Context, b Built) error {
	if b.Index == nil {
		return nil
	}
	link := func(d v1.Descriptor) error { return s.linkBlob(ctx, d, b.Blob) }
	_, err := walkBranch(*b.Index, func(d v1.Descriptor) ([]byte, error) {
		if err := link(d); err != nil {
			return nil, err
		}
		return readBlob(directory(s.dir), d.Digest)
	}, link)
	return err
}

func (s *Store) linkBlob(ctx context.Context, d v1.Descriptor, find func(digest.Digest) (string, error)) error {
	if err := d.Digest.Validate(); err != nil {
		return err
	}
	if s.hasBlob(d) {
		return nil
	}
	from, err := find(d.Digest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.blobPath(d.Digest)), 0o700); err != nil {
		return err
	}
	err = os.Link(from, s.blobPath(d.Digest))
	if errors.Is(err, os.ErrExist) {
		return nil // by another process, meanwhile
	}
	if errors.Is(err, unix.EXDEV) {
		return s.putBlob(ctx, d, fileSource(from), nil)
	}
	return err
}

// linkLayer makes a layer's directory out of a builder's. It is right only over the
// layers below it: what was built may leave directories as they are there.
func (s *Store) linkLayer(ctx context.Context, l *layer, from string) error {
	if dir, err := s.find(l); dir != "" || from == "" || err != nil {
		return err
	}
	lock, err := s.layerLock(ctx, layerName(l.diff))
	if err != nil {
		return err
	}
	defer lock.Close()
	if dir, err := s.find(l); dir != "" || err != nil {
		return err
	}
	scratch, err := s.scratch(l.chainName())
	if err != nil {
		return err
	}
	err = LinkTree(ctx, from, scratch)
	if err == nil {
		return os.Rename(scratch, s.layerDir(l.chainName()))
	}
	rerr := removeTree(scratch)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EMLINK) {
		err = nil // the blob is unpacked instead
	}
	return errors.Join(err, rerr)
}
