package image

import (
	"context"
	"errors"
	"fmt"
)

// Tag gives an image one more name, HOST/REPOSITORY:TAG. from is a reference or ID;
// an image in a layout or an archive is copied into the store.
func (s *Store) Tag(ctx context.Context, from, to string) error {
	if err := s.tag(ctx, from, to); err != nil {
		return fmt.Errorf("cannot tag image %q as %q: %w", from, to, err)
	}
	return nil
}

func (s *Store) tag(ctx context.Context, from, to string) error {
	r, err := parseReference(to)
	if err != nil {
		return err
	}
	if r.scheme != schemeRegistry || r.digest != "" {
		return errors.New("a name is wanted, as NAME[:TAG]")
	}
	shared, err := s.share(ctx)
	if err != nil {
		return err
	}
	defer shared.Close()
	rec, err := s.withBlobs(ctx, from)
	if err != nil {
		return err
	}
	if own, err := parseReference(rec.Image.Ref); err != nil || own.path != r.path {
		rec.Target = nil // no registry is known to have it under the new name
	}
	rec.Platform, rec.Source = "", nil
	return s.record(ctx, r, rec)
}

// withBlobs finds an image of which all blobs are in the store, or copies them
// there. The caller holds the store's lock.
func (s *Store) withBlobs(ctx context.Context, name string) (Record, error) {
	all, err := s.List()
	if err != nil {
		return Record{}, err
	}
	rec, err := Find(all, name)
	if errors.Is(err, ErrNotFound) {
		if r, perr := parseReference(name); perr == nil && r.isPath() {
			return s.copyIn(ctx, r)
		}
	}
	if err != nil {
		return rec, err
	}
	if rec.Manifest != nil {
		if !s.hasAll(rec) {
			return rec, fmt.Errorf("%w: a part of it is gone; pull it again", ErrNotFound)
		}
		return rec, nil
	}
	r, err := parseReference(rec.Image.Ref)
	if err != nil {
		return rec, err
	}
	return s.copyIn(ctx, r)
}

// copyIn copies an image that lies in a layout or an archive into the store.
func (s *Store) copyIn(ctx context.Context, r reference) (Record, error) {
	switch r.scheme {
	case schemeLayout:
		c, err := readLayout(directory(r.path), r.tag)
		if err != nil {
			return Record{}, err
		}
		return s.add(ctx, c)
	case schemeArchive:
		a, err := s.openArchive(ctx, r.path)
		if err != nil {
			return Record{}, err
		}
		defer a.Close()
		c, err := readArchive(a, r.tag)
		if err != nil {
			return Record{}, err
		}
		return s.add(ctx, c)
	}
	return Record{}, errors.New("it is a directory, not an image")
}
