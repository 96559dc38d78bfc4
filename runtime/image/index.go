package image

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// What BuildKit and Docker mark attestation manifests with; see "Image attestation
// storage" in BuildKit's documentation.
const (
	annotationKind  = "vnd.docker.reference.type"
	annotationOf    = "vnd.docker.reference.digest"
	kindAttestation = "attestation-manifest"
)

// maxIndexed is how many files an index may lead to.
const maxIndexed = 2000

// isAttestation says whether an index's entry tells about another one, and of which.
func isAttestation(d v1.Descriptor) (of digest.Digest, ok bool) {
	return digest.Digest(d.Annotations[annotationOf]), d.Annotations[annotationKind] == kindAttestation
}

// branch is a manifest or an index and what it names: blobs, or manifests.
type branch struct {
	self  v1.Descriptor
	blobs []v1.Descriptor
	below []*branch
}

// readBranch reads an index, or a manifest, and everything below it but the blobs.
func readBranch(d v1.Descriptor, read func(v1.Descriptor) ([]byte, error)) (*branch, error) {
	r := &branchReader{read: read, left: maxIndexed, known: map[digest.Digest]manifestFile{}}
	return r.branch(d, 0)
}

// branchReader reads each file once, however often indexes name it.
type branchReader struct {
	read  func(v1.Descriptor) ([]byte, error)
	left  int
	known map[digest.Digest]manifestFile
}

func (r *branchReader) branch(d v1.Descriptor, depth int) (*branch, error) {
	if depth > maxIndexes {
		return nil, fmt.Errorf("indexes are nested more than %d deep", maxIndexes)
	}
	m, err := r.manifest(d)
	if err != nil {
		return nil, err
	}
	if r.left -= 1 + len(m.Layers) + len(m.Manifests); r.left < 0 {
		return nil, fmt.Errorf("%w: an index leads to more than %d files", ErrHostile, maxIndexed)
	}
	b := &branch{self: d}
	if m.Config != nil {
		b.blobs = append(slices.Clone(m.Layers), *m.Config)
		return b, validDigests(b.blobs)
	}
	if err := validDigests(m.Manifests); err != nil {
		return nil, err
	}
	for _, child := range m.Manifests {
		next, err := r.branch(child, depth+1)
		if err != nil {
			return nil, err
		}
		b.below = append(b.below, next)
	}
	return b, nil
}

func (r *branchReader) manifest(d v1.Descriptor) (manifestFile, error) {
	if m, ok := r.known[d.Digest]; ok {
		return m, nil
	}
	data, err := r.read(d)
	if err != nil {
		return manifestFile{}, err
	}
	m, err := parseManifest(data)
	r.known[d.Digest] = m
	return m, err
}

func validDigests(all []v1.Descriptor) error {
	for _, d := range all {
		if err := d.Digest.Validate(); err != nil {
			return fmt.Errorf("bad digest %q: %w", d.Digest, err)
		}
	}
	return nil
}

// each calls f for the branches, those below before the one above.
func (b *branch) each(f func(*branch) error) error {
	for _, c := range b.below {
		if err := c.each(f); err != nil {
			return err
		}
	}
	return f(b)
}

// allBlobs lists every blob once, the manifests not among them.
func (b *branch) allBlobs() []v1.Descriptor {
	var all []v1.Descriptor
	seen := map[digest.Digest]bool{}
	b.each(func(c *branch) error {
		for _, d := range c.blobs {
			if !seen[d.Digest] {
				seen[d.Digest] = true
				all = append(all, d)
			}
		}
		return nil
	})
	return all
}

// walkBranch is readBranch, and calls blob for each blob below once.
func walkBranch(d v1.Descriptor, read func(v1.Descriptor) ([]byte, error), blob func(v1.Descriptor) error) (*branch, error) {
	b, err := readBranch(d, read)
	if err != nil {
		return nil, err
	}
	for _, d := range b.allBlobs() {
		if err := blob(d); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readIndex reads an index of which the store has to have everything. Errors:
// fs.ErrNotExist when something is not there.
func (s *Store) readIndex(d v1.Descriptor) (*branch, error) {
	read := func(d v1.Descriptor) ([]byte, error) { return readBlob(directory(s.dir), d.Digest) }
	return walkBranch(d, read, func(d v1.Descriptor) error {
		if !s.hasBlob(d) {
			return fmt.Errorf("blob %s: %w", d.Digest, fs.ErrNotExist)
		}
		return nil
	})
}

// isIndex says what a descriptor claims to be.
func isIndex(d v1.Descriptor) bool {
	return d.MediaType == v1.MediaTypeImageIndex || d.MediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// keepIndex marks all that a record's index leads to.
func (s *Store) keepIndex(rec Record, keep map[string]bool) error {
	if rec.Index == nil {
		return nil
	}
	b, err := s.readIndex(*rec.Index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is of no use any more
	}
	if err != nil {
		return err
	}
	for _, d := range b.allBlobs() {
		keep[s.blobPath(d.Digest)] = true
	}
	return b.each(func(c *branch) error {
		keep[s.blobPath(c.self.Digest)] = true
		return nil
	})
}

// Part is a manifest of the index that an image is part of.
type Part struct {
	v1.Descriptor
	// Of is the digest of the manifest that an attestation tells about, "" for an
	// image's own.
	Of digest.Digest
	// Here says whether all of it is in the store.
	Here bool
	// Predicates are the types of an attestation's statements.
	Predicates []string
}

// Parts lists the manifests of a record's index: that which it was built, loaded or
// pulled as, or only had in the registry.
func (s *Store) Parts(rec Record) ([]Part, error) {
	d := rec.Index
	if d == nil {
		d = rec.Target
	}
	if d == nil || !isIndex(*d) {
		return nil, nil
	}
	var index v1.Index
	if err := s.readStoredJSON(*d, &index); err != nil {
		return nil, fmt.Errorf("cannot read the index of %s: %w", rec.Image.Ref, err)
	}
	var parts []Part
	for _, m := range index.Manifests {
		p := Part{Descriptor: m}
		if of, ok := isAttestation(m); ok {
			p.Of = of
		}
		b, err := s.readIndex(m)
		if p.Here = err == nil; p.Here && p.Of != "" {
			for _, l := range b.blobs {
				if kind := l.Annotations["in-toto.io/predicate-type"]; kind != "" {
					p.Predicates = append(p.Predicates, kind)
				}
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}
