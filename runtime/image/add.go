package image

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// add copies an image's blobs into the store, with a manifest made here if it has
// none, and unpacks it. The record that it returns has no name yet.
func (s *Store) add(ctx context.Context, c contents) (Record, error) {
	if _, err := parseConfig(c.config); err != nil {
		return Record{}, err
	}
	for i := range c.layers {
		if err := s.addLayer(ctx, &c.layers[i]); err != nil {
			return Record{}, err
		}
	}
	if c.manifest == nil {
		d, err := s.addManifest(ctx, c)
		if err != nil {
			return Record{}, err
		}
		c.manifest = &d
	} else if err := s.copyBlobs(ctx, c); err != nil {
		return Record{}, err
	}
	stored, err := s.contents(*c.manifest)
	if err != nil {
		return Record{}, err
	}
	if err := s.copyIndex(ctx, c); err != nil {
		return Record{}, err
	}
	rec, err := s.unpackImage(ctx, stored)
	rec.Index = c.index
	return rec, err
}

// addLayer copies a layer; one whose digest nobody stated gets it from its bytes.
func (s *Store) addLayer(ctx context.Context, b *blob) error {
	open := func(context.Context, int64) (io.ReadCloser, error) { return b.files.open(b.name) }
	if b.digest == "" {
		if err := b.measure(ctx, s.Limits.Bytes); err != nil {
			return fmt.Errorf("cannot read layer %s: %w", b.name, err)
		}
	}
	d := v1.Descriptor{MediaType: b.media, Digest: b.digest, Size: b.size}
	if err := s.putBlob(ctx, d, skipping(open), b.meter); err != nil {
		return fmt.Errorf("cannot store layer %s: %w", b.digest, err)
	}
	return nil
}

// measure finds out digest, size and media type.
func (b *blob) measure(ctx context.Context, limit int64) error {
	f, err := b.files.open(b.name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := digest.SHA256.Digester()
	plain, kind, err := decompress(io.TeeReader(f, sum.Hash()))
	if err != nil {
		return err
	}
	plain.Close()
	b.media = v1.MediaTypeImageLayer
	if kind != "" {
		b.media += "+" + kind
	}
	g, err := b.files.open(b.name) // decompress has read an unknown part
	if err != nil {
		return err
	}
	defer g.Close()
	sum = digest.SHA256.Digester()
	b.size, err = io.Copy(sum.Hash(), &bounded{ctx: ctx, r: g, left: limit})
	b.digest = sum.Digest()
	return err
}

// skipping makes a source of something that is always read from the beginning.
func skipping(open source) source {
	return func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		f, err := open(ctx, 0)
		if err == nil && offset > 0 {
			if _, err = io.CopyN(io.Discard, f, offset); err != nil {
				f.Close()
			}
		}
		return f, err
	}
}

// addManifest stores the configuration and a new manifest.
func (s *Store) addManifest(ctx context.Context, c contents) (v1.Descriptor, error) {
	conf, err := s.putBytes(ctx, v1.MediaTypeImageConfig, c.config)
	if err != nil {
		return conf, err
	}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: conf, Layers: []v1.Descriptor{}}
	for _, b := range c.layers {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: b.media, Digest: b.digest, Size: b.size})
	}
	data, err := json.Marshal(m)
	if err != nil {
		return conf, err
	}
	return s.putBytes(ctx, v1.MediaTypeImageManifest, data)
}

// copyBlobs copies the manifest and the configuration that it names.
func (s *Store) copyBlobs(ctx context.Context, c contents) error {
	data, err := readBlob(c.from, c.manifest.Digest)
	if err != nil {
		return err
	}
	for mediaType, data := range map[string][]byte{c.manifest.MediaType: data, v1.MediaTypeImageConfig: c.config} {
		if _, err := s.putBytes(ctx, mediaType, data); err != nil {
			return err
		}
	}
	return nil
}
