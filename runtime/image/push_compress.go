package image

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// compressed gives what is to be pushed with all layers compressed, under other
// manifests if one was not; rec gets its own. What attestations tell about goes out as
// it is: they have its digest.
func (s *Store) compressed(ctx context.Context, b *branch, rec *Record, say func(Progress)) (*branch, error) {
	plain := slices.ContainsFunc(b.allBlobs(), func(d v1.Descriptor) bool { return isPlain(d.MediaType) })
	if !plain || b.attested() {
		return b, nil
	}
	if len(b.below) == 0 {
		next, err := s.compressedManifest(ctx, b, say)
		if err == nil && b.self.Digest == rec.Manifest.Digest {
			rec.Manifest = &next.self
		}
		return next, err
	}
	var index v1.Index
	if err := s.readStoredJSON(b.self, &index); err != nil {
		return nil, err
	}
	next := &branch{}
	for i, c := range b.below {
		c, err := s.compressed(ctx, c, rec, say)
		if err != nil {
			return nil, err
		}
		next.below = append(next.below, c)
		m := &index.Manifests[i]
		m.Digest, m.Size, m.MediaType = c.self.Digest, c.self.Size, c.self.MediaType
	}
	return next, s.renew(ctx, next, index, b.self.MediaType)
}

func (b *branch) attested() bool {
	return slices.ContainsFunc(b.below, func(c *branch) bool {
		_, ok := isAttestation(c.self)
		return ok || c.attested()
	})
}

func (s *Store) compressedManifest(ctx context.Context, b *branch, say func(Progress)) (*branch, error) {
	var m v1.Manifest
	if err := s.readStoredJSON(b.self, &m); err != nil {
		return nil, err
	}
	for i, d := range m.Layers {
		if !isPlain(d.MediaType) {
			continue
		}
		meter := newMeter(say, shortDigest(d.Digest), d.Size)
		meter.begin("Compressing")
		small, err := s.compress(ctx, d.Digest, meter)
		if err != nil {
			return nil, fmt.Errorf("cannot compress layer %s: %w", d.Digest, err)
		}
		small.Annotations = d.Annotations
		m.Layers[i] = small
	}
	m.MediaType, m.Config.MediaType = v1.MediaTypeImageManifest, v1.MediaTypeImageConfig // as the layers
	next := &branch{blobs: append(slices.Clone(m.Layers), m.Config)}
	return next, s.renew(ctx, next, m, m.MediaType)
}

// renew stores the text of a branch that was changed.
func (s *Store) renew(ctx context.Context, b *branch, v any, mediaType string) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b.self, err = s.putBytes(ctx, mediaType, data)
	return err
}

func (s *Store) readStoredJSON(d v1.Descriptor, v any) error {
	data, err := readBlob(directory(s.dir), d.Digest)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func isPlain(mediaType string) bool {
	return isLayer(mediaType) && strings.HasSuffix(mediaType, ".tar")
}
