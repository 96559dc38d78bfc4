package image

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// whole gives the index that was pulled, if all of it is here. Attestations are
// fetched if nothing else lacks: of an image that there is for many platforms, other
// platforms do. An image whose attestations cannot be had runs all the same.
func (p *pull) whole(ctx context.Context, target v1.Descriptor, rec Record) *v1.Descriptor {
	if rec.Manifest.Digest == target.Digest {
		return nil
	}
	data, err := readBlob(directory(p.s.dir), target.Digest)
	if err != nil {
		return nil
	}
	m, err := parseManifest(data)
	if err != nil {
		return nil
	}
	var missing []v1.Descriptor
	about := map[digest.Digest]bool{}
	for _, d := range m.Manifests {
		of, ok := isAttestation(d)
		if about[d.Digest] = true; ok && about[of] { // they stand behind what they are about
			missing = append(missing, d)
		} else if _, err := p.s.readIndex(d); err != nil {
			return nil
		}
	}
	budget := int64(maxAttestations)
	for _, d := range missing {
		if err := p.attestation(ctx, d, &budget); err != nil {
			p.s.log.DebugContext(ctx, "cannot fetch an attestation", "image", p.ref, "error", err)
			return nil
		}
	}
	return &target
}

// maxAttestations bounds what is fetched beside an image, in bytes: nobody asked for
// it.
const maxAttestations = 256 << 20

func (p *pull) attestation(ctx context.Context, d v1.Descriptor, budget *int64) error {
	spend := func(d v1.Descriptor) error {
		if *budget -= max(d.Size, 1<<10); *budget < 0 {
			return fmt.Errorf("%w: the attestations have more than %d bytes", ErrHostile, maxAttestations)
		}
		return nil
	}
	_, err := walkBranch(d, func(d v1.Descriptor) ([]byte, error) {
		if err := spend(d); err != nil {
			return nil, err
		}
		return p.small(ctx, d)
	}, func(d v1.Descriptor) error {
		if err := spend(d); err != nil {
			return err
		}
		return p.s.putBlob(ctx, d, p.source(d), nil)
	})
	return err
}
