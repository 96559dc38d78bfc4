package image

import (
	"context"
	"fmt"
	"slices"

	"github.com/containerd/platforms"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// resolveNamed gives an image that was pulled, loaded or built.
func (s *Store) resolveNamed(ctx context.Context, r reference, platform string) (Image, error) {
	p, err := parsePlatform(platform)
	if err != nil {
		return Image{}, err
	}
	all, err := s.List()
	if err != nil {
		return Image{}, err
	}
	rec, ok := lookup(all, r, platform, p)
	if !ok {
		return Image{}, fmt.Errorf("%w on this machine; `stack image pull %s` fetches it", ErrNotFound, Familiar(r.String()))
	}
	if rec.complete() {
		return rec.Image, nil
	}
	if rec.Manifest == nil {
		return Image{}, fmt.Errorf("%w: its layers are gone", ErrNotFound)
	}
	return s.unpackAgain(ctx, rec)
}

// unpackAgain makes layers that somebody removed from the blobs that are kept.
func (s *Store) unpackAgain(ctx context.Context, rec Record) (Image, error) {
	c, err := s.contents(*rec.Manifest)
	if err != nil {
		return Image{}, err
	}
	again, err := s.unpackImage(ctx, c)
	if err != nil {
		return Image{}, err
	}
	rec.Image.Layers = again.Image.Layers
	return rec.Image, s.writeJSON(s.recordName(rec.key()), rec)
}

// contents reads an image of which the store has all blobs.
func (s *Store) contents(d v1.Descriptor) (contents, error) {
	data, err := readBlob(directory(s.dir), d.Digest)
	if err != nil {
		return contents{}, err
	}
	m, err := parseManifest(data)
	if err != nil {
		return contents{}, err
	}
	if m.Config == nil {
		return contents{}, fmt.Errorf("%s is not an image's manifest", d.Digest)
	}
	m.self = d
	return s.readStored(m)
}

// readStored reads an image whose layers are in blobs, or soon will be.
func (s *Store) readStored(m manifestFile) (contents, error) {
	c, err := readManifest(directory(s.dir), m)
	for i := range c.layers {
		c.layers[i].stored = true
	}
	return c, err
}

// lookup finds what a reference means: its own record, or for a digest any image
// of that repository that has it.
func lookup(all []Record, r reference, platform string, p v1.Platform) (Record, bool) {
	suits := func(rec Record) bool {
		if platform == "" {
			return rec.Platform == ""
		}
		return rec.fits(p)
	}
	for _, rec := range all {
		if rec.Image.Ref == r.String() && suits(rec) {
			return rec, true
		}
	}
	for _, rec := range all {
		switch {
		case r.scheme == schemeID && rec.Image.Digest == r.digest.String(),
			r.digest != "" && rec.hasDigest(r) && suits(rec):
			return rec, true
		}
	}
	return Record{}, false
}

// hasDigest says whether r names the record's image by its digest in the registry.
func (rec Record) hasDigest(r reference) bool {
	own, err := parseReference(rec.Image.Ref)
	return err == nil && r.path == own.path && slices.ContainsFunc([]*v1.Descriptor{rec.Target, rec.Index, rec.Manifest}, func(d *v1.Descriptor) bool {
		return d != nil && d.Digest == r.digest
	})
}

// fits says whether the image is for the platform.
func (rec Record) fits(p v1.Platform) bool {
	has := platforms.Normalize(v1.Platform{OS: rec.OS, Architecture: rec.Architecture, Variant: rec.Variant})
	p = platforms.Normalize(p)
	return rec.Architecture == "" || has.Architecture == p.Architecture && (p.Variant == "" || has.Variant == "" || has.Variant <= p.Variant)
}
